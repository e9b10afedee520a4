import type { z } from 'zod';
import { HumancastError } from '../humancast-error.js';
import { type RecordKind, reasonOf, unreadableRecords } from './unreadable.js';

/**
 * Newest record version that this version reads. A record's version is its member `v`, 1 if it is missing. docs/upgrading.md
 * tells when it must grow.
 */
const RECORD_VERSION = 1;

/** A record of a later version, or a damaged one. */
class UnknownForm extends Error {}

/**
 * Reads a record that any version of humancast may have written. Unknown members are ignored.
 * @param stored JSON text, or its parsed value.
 * @param name The record's name in the log.
 * @returns `undefined` if the record cannot be read, which is counted and logged; nothing else may fail because of it.
 */
export function readRecord<T>(
  kind: RecordKind,
  name: string,
  schema: z.ZodType<T, unknown>,
  stored: unknown,
): T | undefined {
  try {
    return parseRecord(schema, stored);
  } catch (error) {
    unreadableRecords.add(kind, name, reasonOf(error));
    return undefined;
  }
}

/**
 * Reads a record that a caller asked for.
 * @throws HumancastError `record_unreadable`.
 */
export function requireRecord<T>(kind: RecordKind, name: string, schema: z.ZodType<T, unknown>, stored: unknown): T {
  const record = readRecord(kind, name, schema, stored);
  if (record === undefined) {
    throw new HumancastError('record_unreadable', `the ${kind} ${name.slice(0, 64)} was stored by another version`);
  }
  return record;
}

/**
 * Converts the error of {@link requireRecord} into `undefined`, for callers that can do without the record.
 * @throws any other error, unchanged.
 */
export function unlessUnreadable(error: unknown): undefined {
  if (!(error instanceof HumancastError && error.code === 'record_unreadable')) throw error;
}

/** @throws Error if the text is not JSON, of a later version, or does not match the schema. */
export function parseRecord<T>(schema: z.ZodType<T, unknown>, stored: unknown): T {
  const value: unknown = typeof stored === 'string' ? JSON.parse(stored) : stored;
  const version = versionOf(value);
  if (version > RECORD_VERSION) throw new UnknownForm(`form ${version}; this version reads up to ${RECORD_VERSION}`);
  return schema.parse(value);
}

function versionOf(value: unknown): number {
  const version = typeof value === 'object' && value !== null && 'v' in value ? Number(value.v) : RECORD_VERSION;
  return Number.isNaN(version) ? Number.POSITIVE_INFINITY : version;
}
