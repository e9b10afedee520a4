import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { FaceCamera, IdlePoses } from '@humancast/demo-face';
import { Humancast, type NewSession, ProducerError } from '@humancast/producer';
import { ConfigError, createLogger, describeSettings, isHashed, loadConfig } from '@humancast/shared';
import { Agent } from './agent/agent.js';
import { REALTIME_RATE } from './realtime/messages.js';
import { RealtimeConnection } from './realtime/realtime-connection.js';
import { type AgentConfig, agentSettings } from './settings.js';
import { StandIn } from './stand-in/stand-in.js';

/** Time for the avatar's idle clips to be loaded, while the stack starts. */
const LOADING_TIMEOUT_MS = 120_000;
const LOADING = ['avatar_not_found', 'avatar_has_no_idle', 'unreachable', 'unavailable', 'no_capacity'];

const HELP = `Usage: npm run agent [-- --openai]

Creates a session whose viewer may speak, prints the page to open, and answers what it hears.

  --openai   with OpenAI's Realtime API, which needs OPENAI_API_KEY; by default with a stand-in on this machine

Settings, read from the environment:

${describeSettings(agentSettings)}
`;

const { values: options } = parseArgs({ options: { openai: { type: 'boolean' }, help: { type: 'boolean' } } });
if (options.help) process.stdout.write(HELP);
else {
  try {
    await main(loadConfig(agentSettings, process.env), options.openai === true);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

async function main(config: AgentConfig, isReal: boolean): Promise<void> {
  const { signalingUrl, loaderUrl, avatar } = config;
  const logger = createLogger('realtime-agent', config.logLevel);
  const apiKey = config.apiKeys.find((key) => !isHashed(key));
  if (apiKey === undefined) throw new ConfigError('HUMANCAST_API_KEY: not set; it must be an API key of the services');
  if (isReal && config.realtimeKey === '') throw new ConfigError('OPENAI_API_KEY: not set; --openai needs it');
  const humancast = new Humancast({ apiKey, signalingUrl, loaderUrl });
  const session = await createSession(humancast, avatar);
  const standInKey = randomBytes(16).toString('hex');
  const standIn = isReal ? undefined : await StandIn.start({ key: standInKey });
  let failure: string | undefined;
  let connection: RealtimeConnection | undefined;
  const agent = new Agent(session.turn ?? 0, {
    humancast,
    session: session.id,
    avatar,
    camera: new FaceCamera(config.pictureSize),
    idlePoses: new IdlePoses(async (segment) => (await humancast.segment(segment)).name),
    send: (event) => connection?.send(event),
    logger,
  });
  const stop = () => agent.close();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  try {
    connection = await RealtimeConnection.open({
      url: standIn?.url ?? config.realtimeUrl,
      key: standIn ? standInKey : config.realtimeKey,
      logger,
      onEvent: (event) => agent.onRealtimeEvent(event),
      onClosed: (reason) => {
        failure = reason;
        agent.close();
      },
    });
    connection.send({ type: 'session.update', session: sessionOf(config) });
    const page = `${signalingUrl}/?session=${session.id}&token=${session.microphoneToken}`;
    process.stdout.write(
      `\n  Open      ${page}\n  Model     ${standIn ? 'a stand-in (--openai for the real one)' : 'Realtime API'}\n`,
    );
    process.stdout.write('\n  Switch the microphone on, and speak. Ctrl-C ends the session.\n\n');
    await agent.run();
  } finally {
    agent.close();
    connection?.close();
    standIn?.close();
    await humancast.endSession(session.id).catch(() => {});
  }
  if (failure !== undefined) throw new Error(failure);
}

async function createSession(humancast: Humancast, avatar: string): Promise<NewSession> {
  for (const deadline = Date.now() + LOADING_TIMEOUT_MS; ; ) {
    try {
      return await humancast.createSession(avatar, { microphone: true, bargeIn: 'stop' });
    } catch (error) {
      const mayPass = error instanceof ProducerError && LOADING.includes(error.code) && Date.now() < deadline;
      if (!mayPass) throw error;
      await sleep(500);
    }
  }
}

/** @returns The session of the Realtime API: audio both ways, and its voice activity detection, which stops answers. */
function sessionOf({ instructions, realtimeVoice }: AgentConfig) {
  const format = { type: 'audio/pcm', rate: REALTIME_RATE };
  const turnDetection = { type: 'server_vad', create_response: true, interrupt_response: true };
  return {
    type: 'realtime' as const,
    output_modalities: ['audio'],
    instructions,
    audio: {
      input: { format, turn_detection: turnDetection },
      output: { format, voice: realtimeVoice },
    },
  };
}
