import { randomBytes, randomInt } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { ProtectionProfileAeadAes128Gcm, ProtectionProfileAes128CmHmacSha1_80, RtpPacket, SrtpSession } from 'werift';
import { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';
import { CongestionExtension } from '../rtp/congestion-extension.js';
import { CM_TAG_BYTES, GCM_TAG_BYTES, nodeCrypto, type PacketCrypto } from '../rtp/packet-crypto.js';
import { MAX_PACKET_BYTES, type PacketWriter } from '../rtp/packet-writer.js';
import { RepairBudget } from '../rtp/repair-budget.js';
import { Retransmitter } from '../rtp/retransmitter.js';
import { senderReport } from '../rtp/rtcp.js';
import { RtpStream } from '../rtp/rtp-stream.js';
import { MASTER_KEY_BYTES, masterSaltBytes, type SrtpKeys, SrtpSender } from '../rtp/srtp.js';
import { NativeLibrary } from './native/library.js';
import { NativeCrypto } from './native/native-crypto.js';
import { PacketMemory, SLOTS } from './native/packet-memory.js';
import { choosePacketPath, javascriptPath } from './packet-path.js';

const library = NativeLibrary.load();
const slots = new PacketMemory(library);
const native = new NativeCrypto(library, slots);
/** The encryption of each path, and its memory. */
const PATHS: [string, PacketCrypto, Buffer][] = [
  ['native', native, slots.bytes],
  ['javascript', nodeCrypto, Buffer.alloc(MAX_PACKET_BYTES)],
];
const PROFILES = {
  AEAD_AES_128_GCM: ProtectionProfileAeadAes128Gcm,
  AES128_CM_HMAC_SHA1_80: ProtectionProfileAes128CmHmacSha1_80,
} as const;
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

function keysOf(profile: SrtpKeys['profile']): SrtpKeys {
  return { profile, masterKey: randomBytes(MASTER_KEY_BYTES), masterSalt: randomBytes(masterSaltBytes(profile)) };
}

/** @returns a writer in the memory of a path. */
function writerTo(memory: Buffer, packet: (packet: Buffer) => void): PacketWriter {
  const send = (bytes: number) => packet(Buffer.from(memory.subarray(0, bytes)));
  return { memory, begin: () => 0, send, flush: () => {} };
}

/** All packets of a session: two streams with header extensions, retransmissions, reports, and a wrap of the sequence number. */
function packetsOf(crypto: PacketCrypto, memory: Buffer, keys: SrtpKeys, payloads: readonly Buffer[]): Buffer[] {
  const packets: Buffer[] = [];
  const writer = writerTo(memory, (packet) => packets.push(packet));
  const srtp = new SrtpSender(keys, crypto);
  const extension = new CongestionExtension(new BandwidthEstimator(), () => 65_500);
  const congestion = { extension, ids: { transportSequence: 5, absSendTime: undefined } };
  const streamOf = (ssrc: number, firstSequence: number) =>
    new RtpStream({ ssrc, payloadType: 96, srtp, writer, firstSequence, timestampOffset: 7, congestion });
  const original = streamOf(0xfedc_ba98, 65_500);
  const plain = streamOf(0x0123_4567, 1);
  const common = { budget: new RepairBudget(), historyPackets: 64 };
  const video = new Retransmitter({ ...common, original, rtx: streamOf(0x1122_3344, 65_530) });
  const audio = new Retransmitter({ ...common, original: plain, rtx: undefined });
  payloads.forEach((payload, i) => {
    const sequence = video.send(payload, 3000 * i, i % 3 === 2);
    audio.send(payload.subarray(0, 200), 960 * i, false);
    if (i % 4 === 3) video.repeat([sequence, (sequence - 2) & 0xffff], 1000 * i, 1);
    if (i % 5 === 4) audio.repeat([i], 1000 * i, 1);
    if (i % 16 === 0) {
      const report = { ssrc: original.ssrc, cname: 'c', ntp: 1n, rtpTimestamp: i, packets: i, octets: i };
      writer.send(srtp.protectRtcp(writer.memory, writer.begin(), senderReport(report)));
    }
  });
  return packets;
}

describe.each(Object.keys(PROFILES) as (keyof typeof PROFILES)[])('%s', (profile) => {
  it('encrypts every packet of a session to the same bytes on both paths', () => {
    const keys = keysOf(profile);
    const payloads = Array.from({ length: 100 }, () => randomBytes(randomInt(1, 1200)));
    const [ours, theirs] = PATHS.map(([, crypto, memory]) => packetsOf(crypto, memory, keys, payloads));
    expect(ours?.length).toBeGreaterThan(2 * payloads.length);
    expect(ours).toEqual(theirs);
  });

  it('is decrypted by another implementation across wraps of the sequence number, with two viewers alternating', () => {
    const viewers = [keysOf(profile), keysOf(profile)].map((keys) => {
      const { masterKey, masterSalt } = keys;
      const sent: { packet: Buffer } = { packet: Buffer.alloc(0) };
      const srtp = new SrtpSender(keys, native);
      const writer = writerTo(slots.bytes, (packet) => {
        sent.packet = packet;
      });
      const stream = new RtpStream({ ssrc: 1, payloadType: 96, srtp, writer, firstSequence: 65_530 });
      const receiver = new SrtpSession({
        keys: {
          localMasterKey: masterKey,
          localMasterSalt: masterSalt,
          remoteMasterKey: masterKey,
          remoteMasterSalt: masterSalt,
        },
        profile: PROFILES[profile],
      });
      return { sent, stream, receiver };
    });
    for (let i = 0; i < 12; i++) {
      for (const { sent, stream, receiver } of viewers) {
        const payload = randomBytes(1000);
        stream.send(payload, 0, false);
        expect(RtpPacket.deSerialize(receiver.decrypt(sent.packet)).payload.equals(payload)).toBe(true);
      }
    }
  });
});

describe.each(PATHS)('the %s path', (_name, crypto, memory) => {
  it('encrypts the packet of RFC 7714 §16.1.1', () => {
    const header = hex('8040f17b 8041f8d3 5501a0b2');
    const payload = Buffer.from('Gallia est omnis divisa in partes tres');
    header.copy(memory);
    const key = hex('000102030405060708090a0b0c0d0e0f');
    crypto.sealGcm(key, hex('51753c6580c2726f20718414'), memory, 0, header.length, payload);
    expect(memory.toString('hex', 0, header.length + payload.length + 16)).toBe(
      '8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce',
    );
  });

  it('encrypts with the keystream of RFC 3711 §B.2', () => {
    const [key, iv] = [hex('2B7E151628AED2A6ABF7158809CF4F3C'), hex('F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000')];
    crypto.sealCm(key, iv, Buffer.alloc(20), Buffer.alloc(4), memory, 0, 0, Buffer.alloc(32));
    expect(memory.subarray(0, 32)).toEqual(hex('E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB'));
  });
});

describe('the native path', () => {
  it('writes the same bytes and only into its memory for random sizes and alternating keys', () => {
    const keys = Array.from({ length: 3 }, () => ({ key: randomBytes(16), authKey: randomBytes(20) }));
    for (let i = 0; i < 5000; i++) {
      const { key, authKey } = keys[randomInt(keys.length)] ?? { key: Buffer.alloc(16), authKey: Buffer.alloc(20) };
      const [iv, roc, headerBytes] = [randomBytes(16), randomBytes(4), randomInt(2) === 0 ? 12 : 20];
      const payload = randomBytes(randomInt(MAX_PACKET_BYTES - headerBytes - 16 + 1));
      const isGcm = randomInt(2) === 0;
      const header = randomBytes(headerBytes);
      const at = slots.offsetOf(randomInt(SLOTS));
      const sealed = PATHS.map(([name, crypto, memory]) => {
        const from = name === 'native' ? at : 0;
        memory.set(header, from);
        if (isGcm) crypto.sealGcm(key, iv.subarray(0, 12), memory, from, headerBytes, payload);
        else crypto.sealCm(key, iv, authKey, roc, memory, from, headerBytes, payload);
        return memory.subarray(from, from + headerBytes + payload.length + (isGcm ? GCM_TAG_BYTES : CM_TAG_BYTES));
      });
      if (!sealed[0]?.equals(sealed[1] ?? Buffer.alloc(0))) expect(sealed[0]).toEqual(sealed[1]);
      if (!native.guardIntact() || !slots.guardsIntact())
        expect.fail(`a guard was overwritten by a payload of ${payload.length} bytes`);
    }
  });

  it.each([
    ['a payload that is too long', 16, 12, MAX_PACKET_BYTES - 12 - 15, 0, slots.bytes],
    ['a packet that begins between slots', 16, 12, 100, 1, slots.bytes],
    ['a packet behind the last slot', 16, 12, 100, slots.bytes.length, slots.bytes],
    ['a packet in other memory', 16, 12, 100, 0, Buffer.alloc(MAX_PACKET_BYTES)],
    ['a key that is too short', 15, 12, 100, 0, slots.bytes],
    ['a nonce that is too short', 16, 11, 100, 0, slots.bytes],
  ])('rejects %s before any native code is called', (_what, keyBytes, ivBytes, payloadBytes, at, memory) => {
    const [key, iv] = [Buffer.alloc(keyBytes), Buffer.alloc(ivBytes)];
    const seal = () => native.sealGcm(key, iv, memory, at, 12, Buffer.alloc(payloadBytes));
    expect(seal).toThrow(RangeError);
    expect(native.guardIntact() && slots.guardsIntact()).toBe(true);
  });

  it('is chosen by auto and native, but not by javascript', () => {
    expect(choosePacketPath('auto').kind).toBe('native');
    expect(choosePacketPath('native').kind).toBe('native');
    expect(choosePacketPath('javascript')).toBe(javascriptPath);
  });

  it('is not chosen without node:ffi: auto gives the reason, native throws', () => {
    const load = vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined);
    try {
      expect(choosePacketPath('auto')).toMatchObject({ kind: 'javascript', reason: expect.stringMatching(/node:ffi/) });
      expect(() => choosePacketPath('native')).toThrow(/node:ffi/);
    } finally {
      load.mockRestore();
    }
  });
});
