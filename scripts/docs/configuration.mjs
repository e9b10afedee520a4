// Generates docs/configuration.md from the services' table of settings.
import { runMain } from '../lib/output.mjs';
import { table, writePage } from '../lib/page.mjs';
import { importConfig, START_DEFAULTS, startSettings } from '../lib/start-config.mjs';

const INTRO = `# Configuration

<!-- Made by \`npm run docs\` out of packages/shared/src/config/settings.ts; changes belong there. -->

All settings are environment variables, and all except secrets have a default. An invalid value stops the start with the
variable's name and the valid values. An empty variable means the default. Each variable may instead be given as a file:
\`NAME_FILE\` is the path of a file with the value of \`NAME\`, which is recommended for secrets.

Each service lists its own settings with \`--help\`, for example \`node services/signaling/dist/main.js --help\`.
`;

/** @param {import('@humancast/shared').Setting<unknown>} item */
function defaultOf({ fallback }) {
  if (fallback === undefined) return 'none: must be set';
  return fallback === '' ? 'empty' : `\`${fallback}\``;
}

runMain(async () => {
  const { serviceSettings, setting } = await importConfig();

  /** @typedef {import('@humancast/shared').Setting<unknown>} Setting */
  /** @param {readonly Setting[]} settings */
  const rows = (settings) => settings.map((item) => [`\`${item.variable}\``, item.doc, item.mustBe, defaultOf(item)]);
  /** @param {readonly Setting[]} settings */
  const settingsTable = (settings) => table(['Variable', 'What it is', 'Must be', 'Default'], rows(settings));

  const services = Object.entries(serviceSettings).map(([name, settings]) => ({
    name,
    settings: /** @type {Setting[]} */ (Object.values(settings)),
  }));
  const everywhere = (/** @type {Setting} */ item) =>
    services.every(({ settings }) => settings.some(({ variable }) => variable === item.variable));
  const common = services[0]?.settings.filter(everywhere) ?? [];

  const sections = [
    INTRO,
    `## Every service\n\n${settingsTable(common)}\n`,
    ...services.map(
      ({ name, settings }) => `## ${name}\n\n${settingsTable(settings.filter((item) => !everywhere(item)))}\n`,
    ),
    `## \`npm start\`

Starts the services with \`REDIS_QUEUE_URL\`, \`REDIS_MEDIA_URL\`, \`TURN_URLS\`, \`HOST_ADDRESSES\` and its own secrets, and with
other defaults than above: ${Object.entries(START_DEFAULTS)
      .map(([name, value]) => `\`${name}=${value}\``)
      .join(', ')}. Further media-senders
use the metrics ports after \`SENDER_METRICS_PORT\`.

It is for one machine: the databases listen on loopback only.

${settingsTable(Object.values(startSettings(setting)))}
`,
  ];
  writePage('docs/configuration.md', sections.join('\n'));
});
