import type * as contract from '@humancast/protocol';
import { ERRORS, signalMessageSchema, viewerMessageSchema } from '@humancast/protocol';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { CODES_WITH_WORDS, clientError } from './errors.js';
import { parseSignal, SIGNAL_FIELDS, type SignalMessage, type ViewerMessage } from './messages.js';

const typesOf = (schema: { options: readonly { shape: { type: { value: string } } }[] }) =>
  schema.options.map(({ shape }) => shape.type.value).sort();

describe('the contract with signaling', () => {
  it('knows every message of the server, and no other', () => {
    expect(Object.keys(SIGNAL_FIELDS).sort()).toEqual(typesOf(signalMessageSchema));
  });

  it('reads no field that the contract does not promise', () => {
    for (const { shape } of signalMessageSchema.options) {
      const promised = Object.keys(shape);
      expect(promised).toEqual(expect.arrayContaining(Object.keys(SIGNAL_FIELDS[shape.type.value])));
    }
  });

  it('sends nothing the server does not know', () => {
    const sent: ViewerMessage['type'][] = ['answer', 'candidate', 'interrupt', 'join'];
    sent.push('leave', 'ping', 'reconnect', 'report');
    expect(typesOf(viewerMessageSchema)).toEqual(sent);
    expectTypeOf<ViewerMessage>().toExtend<contract.ViewerMessage>();
    expectTypeOf<contract.SignalMessage['type']>().toEqualTypeOf<SignalMessage['type']>();
  });

  it('refuses a message that lacks what is read of it', () => {
    expect(parseSignal('{"type":"waiting","position":3}')).toEqual({ type: 'waiting', position: 3 });
    expect(parseSignal('{"type":"waiting"}')).toBeUndefined();
    expect(parseSignal('{"type":"event","event":null}')).toBeUndefined();
    expect(parseSignal('{"type":"constructor"}')).toBeUndefined();
    expect(parseSignal(new ArrayBuffer(4))).toBeUndefined();
  });
});

describe('errors', () => {
  it('are those of the server, besides the few that are found out here', () => {
    const ours = ['bad_ice_servers', 'unsupported', 'unreachable', 'no_media', 'connection_lost', 'media_lost'];
    expect(CODES_WITH_WORDS.filter((code) => !(code in ERRORS)).sort()).toEqual(ours.sort());
  });

  it('passes on the server’s words for a code it does not know, and goes on trying', () => {
    expect(clientError('brand_new', 'The moon is full.')).toEqual({
      code: 'brand_new',
      message: 'The moon is full.',
      fatal: false,
    });
  });
});
