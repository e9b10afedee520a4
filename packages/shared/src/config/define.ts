import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { SigningKeys } from '../signing.js';

/** A setting: its variable, validation, default and description. Defaults are defined nowhere else. */
export interface Setting<T> {
  readonly variable: string;
  readonly schema: z.ZodType<T, unknown>;
  /** The default as written in the environment; `undefined`: the variable is required. */
  readonly fallback: string | undefined;
  /** Description of valid values, for errors and documentation: "a whole number from 1 to 500". */
  readonly mustBe: string;
  readonly doc: string;
  /** Whether the value is never shown, and may be given as the path of a file in `VARIABLE_FILE`. */
  readonly secret: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: a table of settings of different types; each entry stays typed
export type Settings = Record<string, Setting<any>>;
export type ConfigOf<S extends Settings> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

function make<T>(
  variable: string,
  schema: z.ZodType<T, unknown>,
  mustBe: string,
  fallback: string | undefined,
  doc: string,
  secret = false,
): Setting<T> {
  return { variable, schema, fallback, mustBe, doc, secret };
}

const commaSeparated = z.string().transform((v) =>
  v
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);

export const setting = {
  int(variable: string, [min, max]: readonly [number, number], fallback: number, doc: string): Setting<number> {
    const schema = z
      .string()
      .regex(/^-?\d+$/)
      .transform(Number)
      .pipe(z.number().min(min).max(max));
    return make(variable, schema, `a whole number from ${min} to ${max}`, String(fallback), doc);
  },
  number(variable: string, [min, max]: readonly [number, number], fallback: number, doc: string): Setting<number> {
    const schema = z
      .string()
      .regex(/^-?\d+(\.\d+)?$/)
      .transform(Number)
      .pipe(z.number().min(min).max(max));
    return make(variable, schema, `a number from ${min} to ${max}`, String(fallback), doc);
  },
  bool(variable: string, fallback: boolean, doc: string): Setting<boolean> {
    const schema = z.enum(['true', 'false', '1', '0']).transform((v) => v === 'true' || v === '1');
    return make(variable, schema, '"true" or "false"', String(fallback), doc);
  },
  oneOf<const T extends string>(variable: string, values: readonly T[], fallback: T, doc: string): Setting<T> {
    return make<T>(variable, z.enum(values), `one of ${values.join(', ')}`, fallback, doc);
  },
  string(variable: string, fallback: string | undefined, doc: string): Setting<string> {
    return make(variable, z.string(), 'text', fallback, doc);
  },
  /** A comma-separated list; empty for none. */
  list(variable: string, fallback: string, doc: string): Setting<string[]> {
    return make(variable, commaSeparated, 'a comma-separated list', fallback, doc);
  },
  /** A secret comma-separated list. */
  secretList(variable: string, doc: string): Setting<string[]> {
    return make(variable, commaSeparated, 'a comma-separated list', '', doc, true);
  },
  /** A URL, treated as secret because it may contain a password. */
  url(variable: string, protocols: readonly string[], fallback: string | undefined, doc: string): Setting<string> {
    const schema = z.string().refine((v) => URL.canParse(v) && protocols.some((p) => v.startsWith(`${p}://`)));
    const mustBe = `a URL starting with ${protocols.map((p) => `${p}://`).join(' or ')}`;
    return make(variable, schema, mustBe, fallback, doc, true);
  },
  /** A secret of at least 16 characters, or empty if optional. */
  secret(variable: string, doc: string, optional = false): Setting<string> {
    const schema = z.string().refine((v) => v.length >= 16 || (optional && v === ''));
    return make(variable, schema, 'at least 16 characters', optional ? '' : undefined, doc, true);
  },
  /** One or more keys separated by commas or line breaks; the first signs, all verify. */
  signingKeys(variable: string, doc: string): Setting<SigningKeys> {
    const schema = z
      .string()
      .transform((v) =>
        v
          .split(/[,\n]/)
          .map((key) => key.trim())
          .filter((key) => key !== ''),
      )
      .pipe(z.tuple([z.string().min(16)], z.string().min(16)));
    return make(
      variable,
      schema,
      'at least 16 characters; several, newest first, separated by commas',
      undefined,
      doc,
      true,
    );
  },
  custom<T>(
    variable: string,
    schema: z.ZodType<T, unknown>,
    mustBe: string,
    fallback: string,
    doc: string,
  ): Setting<T> {
    return make(variable, schema, mustBe, fallback, doc);
  },
};

/** The configuration is invalid; the message lists every invalid variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads all settings from the environment. `NAME_FILE` may name a file with the value of `NAME`, as container orchestrators
 * provide secrets, unless it is itself a setting.
 * @throws ConfigError listing every missing or invalid variable, without the values of secrets.
 */
export function loadConfig<S extends Settings>(settings: S, env: Environment): ConfigOf<S> {
  const problems: string[] = [];
  const config: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(settings)) {
    let raw: string | undefined;
    try {
      raw = rawValue(item, env, settings);
    } catch (error) {
      problems.push(`${item.variable}_FILE: cannot be read: ${(error as Error).message}`);
      continue;
    }
    if (raw === undefined) {
      problems.push(`${item.variable}: not set; it must be ${item.mustBe} (${item.doc})`);
      continue;
    }
    const parsed = item.schema.safeParse(raw);
    if (parsed.success) config[name] = parsed.data;
    else problems.push(`${item.variable}: ${item.secret ? 'the value' : `"${raw}"`} must be ${item.mustBe}`);
  }
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return config as ConfigOf<S>;
}

function rawValue(item: Setting<unknown>, env: Environment, settings: Settings): string | undefined {
  const direct = env[item.variable];
  // Docker Compose passes unset variables as empty; these mean the default.
  if (direct !== undefined && direct !== '') return direct;
  const fileVariable = `${item.variable}_FILE`;
  const file = Object.values(settings).some(({ variable }) => variable === fileVariable)
    ? undefined
    : env[fileVariable];
  if (file !== undefined && file !== '') return readFileSync(file, 'utf8').trim();
  return item.fallback;
}

/** @returns The settings as printed by `--help`. */
export function describeSettings(settings: Settings): string {
  return Object.values(settings)
    .map((item) => `  ${item.variable}\n      ${item.doc}\n      ${item.mustBe}; ${defaultText(item)}`)
    .join('\n');
}

function defaultText(item: Setting<unknown>): string {
  if (item.fallback === undefined) return 'no default: must be set';
  return item.fallback === '' ? 'default: empty' : `default: ${item.fallback}`;
}
