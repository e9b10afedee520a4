import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { H264RtpPayload, Vp8RtpPayload } from 'werift';
import { packetizeH264 } from './h264-packetizer.js';
import { packetize } from './packetize.js';
import type { PacketizedFrame } from './packetized-frame.js';
import { MAX_PAYLOAD_BYTES } from './payload-size.js';
import { packetizeVp8, writePictureId } from './vp8-packetizer.js';

const maxPayload = fc.integer({ min: 20, max: MAX_PAYLOAD_BYTES });
const bytes = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength, size: 'max' }).map((a) => Buffer.from(a));
const START_CODE = Buffer.from([0, 0, 0, 1]);

/** @returns The frame as werift reassembles it. */
function vp8Of({ payloads }: PacketizedFrame): Buffer {
  return Buffer.concat(payloads.map((payload) => Vp8RtpPayload.deSerialize(payload).payload));
}

function h264Of({ payloads }: PacketizedFrame): Buffer {
  let fragment: Buffer | undefined;
  const parts = payloads.map((payload) => {
    const part = H264RtpPayload.deSerialize(payload, fragment);
    fragment = part.fragment;
    return part.payload ?? Buffer.alloc(0);
  });
  return Buffer.concat(parts);
}

/** A NAL unit of a type that is sent, without start codes inside or zeros at its end (ITU-T H.264 §7.4.1). */
const nalUnit = fc
  .tuple(fc.constantFrom(0x41, 0x65, 0x67, 0x68, 0x06, 0x01), bytes(3000))
  .map(([header, body]) => Buffer.concat([Buffer.from([header]), body.map((byte) => byte || 1)]));

const limits = (frame: PacketizedFrame, max: number) => {
  for (const payload of frame.payloads) expect(payload.length).toBeLessThanOrEqual(max);
  expect(frame.bytes).toBe(frame.payloads.reduce((sum, payload) => sum + payload.length, 0));
};

describe('packetize() of VP8', () => {
  it('produces payloads from which the frame is reassembled', () => {
    fc.assert(
      fc.property(bytes(5000), maxPayload, fc.boolean(), (data, max, keyframe) => {
        const frame = packetizeVp8(data, keyframe, max);
        limits(frame, max);
        expect(frame.keyframe).toBe(keyframe);
        expect(vp8Of(frame).equals(data)).toBe(true);
      }),
    );
  });

  it('sets the start bit in the first payload descriptor only, and leaves room for a picture id', () => {
    const { payloads, hasPictureId } = packetize('vp8', Buffer.alloc(3000, 7), true);
    expect(hasPictureId).toBe(true);
    for (const payload of payloads) writePictureId(payload, 0x7ffe);
    expect(payloads.map((payload) => Vp8RtpPayload.deSerialize(payload))).toMatchObject([
      { sBit: 1, pid: 0, pictureId: 0x7ffe },
      { sBit: 0, pid: 0, pictureId: 0x7ffe },
      { sBit: 0, pid: 0, pictureId: 0x7ffe },
    ]);
  });

  it('cuts a frame into pieces of one size, of which only the last is smaller', () => {
    fc.assert(
      fc.property(bytes(20_000), (data) => {
        const sizes = packetize('vp8', data, false).payloads.map(({ length }) => length);
        const [first = 0] = sizes;
        expect(sizes.slice(0, -1).every((size) => size === first)).toBe(true);
        expect(first - (sizes.at(-1) ?? 0)).toBeLessThan(sizes.length);
      }),
    );
  });

  it('rejects an empty frame', () => {
    expect(() => packetize('vp8', Buffer.alloc(0), false)).toThrow(RangeError);
  });
});

describe('packetize() of H.264', () => {
  it('produces payloads from which the access unit is reassembled', () => {
    fc.assert(
      fc.property(fc.array(nalUnit, { minLength: 1, maxLength: 6 }), maxPayload, (nals, max) => {
        const accessUnit = Buffer.concat(nals.flatMap((nal) => [START_CODE, nal]));
        const frame = packetizeH264(accessUnit, true, max);
        limits(frame, max);
        expect(h264Of(frame).equals(accessUnit)).toBe(true);
      }),
    );
  });

  it('accepts short start codes and trailing zeros', () => {
    const accessUnit = Buffer.from('00000167aa00000168bb0000000165cccc0000', 'hex');
    expect(h264Of(packetize('h264', accessUnit, true)).toString('hex')).toBe('0000000167aa0000000168bb0000000165cccc');
  });

  it('puts parameter sets into one packet', () => {
    const accessUnit = Buffer.concat([
      Buffer.from('00000001674200000000016848', 'hex'),
      START_CODE,
      Buffer.alloc(4000, 0x65),
    ]);
    const { payloads } = packetize('h264', accessUnit, true);
    expect(payloads[0]?.toString('hex')).toBe('78000267420002' + '6848');
    expect(payloads.slice(1).map((payload) => (payload[0] ?? 0) & 0x1f)).toEqual([28, 28, 28, 28]);
    expect(payloads.slice(1).map((payload) => (payload[1] ?? 0) & 0xc0)).toEqual([0x80, 0, 0, 0x40]);
  });

  it('drops delimiters and filler', () => {
    const accessUnit = Buffer.from('0000000109f0000000014188000000010cffff80', 'hex');
    expect(packetize('h264', accessUnit, false).payloads.map((payload) => payload.toString('hex'))).toEqual(['4188']);
  });

  it('rejects an access unit without a NAL unit', () => {
    expect(() => packetize('h264', Buffer.from('0000000109f0', 'hex'), false)).toThrow(RangeError);
    expect(() => packetize('h264', Buffer.from('garbage'), false)).toThrow(RangeError);
  });
});
