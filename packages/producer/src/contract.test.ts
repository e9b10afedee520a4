import type * as contract from '@humancast/protocol';
import {
  LIVE_HEADER_BYTES as HEADER_BYTES,
  LIVE_KIND as KIND,
  liveLoaderMessageSchema,
  toldEventBodySchema,
} from '@humancast/protocol';
import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  LIVE_HEADER_BYTES,
  LIVE_KIND,
  type LiveStart,
  type LoaderMessage,
  loaderMessageSchema,
  type PixelFormat,
} from './live-messages.js';
import { type SessionEvent, sessionEventSchema } from './session-event.js';

type Options = readonly { shape: Readonly<Record<string, unknown>> & { type: { value: string } } }[];

/** `type` → the names of its fields. */
const fieldsOf = (options: Options) =>
  Object.fromEntries(options.map(({ shape }) => [shape.type.value, Object.keys(shape).sort()]));

describe('the contract with humancast', () => {
  it('knows every message of the loader, with every field', () => {
    expect(fieldsOf(loaderMessageSchema.options)).toEqual(fieldsOf(liveLoaderMessageSchema.options));
    expectTypeOf<contract.LiveLoaderMessage>().toExtend<LoaderMessage>();
  });

  it('sends headers that the loader takes', () => {
    expect(LIVE_KIND).toEqual(KIND);
    expect(LIVE_HEADER_BYTES).toBe(HEADER_BYTES);
    expectTypeOf<PixelFormat>().toEqualTypeOf<contract.PixelFormat>();
    expectTypeOf<Required<LiveStart>>().toExtend<contract.LiveStart>();
  });

  it('knows every event, with every field', () => {
    const common = { atMs: 0, id: 0, session: 0 };
    const bodies = toldEventBodySchema.options.map(({ shape }) => ({ shape: { ...common, ...shape } }));
    expect(fieldsOf(sessionEventSchema.options)).toEqual(fieldsOf(bodies));
    expectTypeOf<contract.SessionEvent>().toExtend<SessionEvent>();
  });
});
