import { avatarDefinitionSchema } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { parseRequest, parseStrictRequest } from './parse-request.js';

describe('parseRequest()', () => {
  it('states where a request is invalid', () => {
    expect(() => parseRequest(avatarDefinitionSchema, { name: '', cutPolicy: 'never' })).toThrow(
      expect.objectContaining({ code: 'bad_request', message: expect.stringContaining('cutPolicy: ') }),
    );
  });
});

describe('parseStrictRequest()', () => {
  const layer = { input: 'main', box: { x: 0, y: 0, width: 64, height: 64 } };

  it('accepts known members and applies defaults', () => {
    const definition = { composition: { width: 64, height: 64, layers: [layer] } };
    expect(parseStrictRequest(avatarDefinitionSchema, definition)).toMatchObject({
      cutPolicy: 'now',
      composition: { layers: [{ ...layer, atEnd: 'freeze' }] },
    });
  });

  it.each([
    [{ nme: 'Ann' }, 'Unrecognized key: "nme"'],
    [
      { composition: { width: 64, height: 64, layers: [{ ...layer, box: { ...layer.box, hight: 1 } }] } },
      'composition.layers.0.box: Unrecognized key: "hight"',
    ],
    [
      { composition: { width: 64, height: 64, layers: [{ ...layer, key: { color: '#00ff00', blnd: 1 } }] } },
      'composition.layers.0.key: Unrecognized key: "blnd"',
    ],
  ])('rejects %j', (value, message) => {
    expect(() => parseStrictRequest(avatarDefinitionSchema, value)).toThrow(
      expect.objectContaining({ code: 'bad_request', message }),
    );
    expect(() => parseRequest(avatarDefinitionSchema, value)).not.toThrow();
  });
});
