import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  ProtectionProfileAeadAes128Gcm,
  ProtectionProfileAes128CmHmacSha1_80,
  RtpHeader,
  RtpPacket,
  SrtcpSession,
  SrtpSession,
} from 'werift';
import { protectRtcp, recordingWriter } from '../../testing/recording-writer.js';
import { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';
import { CongestionExtension, type CongestionExtensionIds } from './congestion-extension.js';
import { NO_PICTURE_ID } from './packet-history.js';
import { senderReport } from './rtcp.js';
import { RtpStream } from './rtp-stream.js';
import { MASTER_KEY_BYTES, masterSaltBytes, type SrtpKeys, SrtpReceiver, SrtpSender } from './srtp.js';

const PROFILES = {
  AEAD_AES_128_GCM: ProtectionProfileAeadAes128Gcm,
  AES128_CM_HMAC_SHA1_80: ProtectionProfileAes128CmHmacSha1_80,
} as const;

function keysOf(profile: SrtpKeys['profile']): SrtpKeys {
  return { profile, masterKey: randomBytes(MASTER_KEY_BYTES), masterSalt: randomBytes(masterSaltBytes(profile)) };
}

/** Both ends of werift's implementation with these keys. */
function weriftConfig({ profile, masterKey, masterSalt }: SrtpKeys) {
  const keys = {
    localMasterKey: masterKey,
    localMasterSalt: masterSalt,
    remoteMasterKey: masterKey,
    remoteMasterSalt: masterSalt,
  };
  return { keys, profile: PROFILES[profile] };
}

function report(): Buffer {
  return senderReport({ ssrc: 0xfedc_ba98, cname: 'somebody', ntp: 1n, rtpTimestamp: 2, packets: 3, octets: 4 });
}

const SSRC = 0xfedc_ba98;

/** @returns an SRTP packet as werift sends it. */
function protectRtp(werift: SrtpSession, sequenceNumber: number, payload: Buffer): Buffer {
  const header = new RtpHeader({ version: 2, payloadType: 111, sequenceNumber, timestamp: 960, ssrc: SSRC });
  return werift.encrypt(payload, header);
}

describe.each(Object.keys(PROFILES) as (keyof typeof PROFILES)[])('%s', (profile) => {
  it('is decrypted by werift across the wrap of the sequence number', () => {
    const keys = keysOf(profile);
    const packets: Buffer[] = [];
    const stream = new RtpStream({
      ssrc: 0xfedc_ba98,
      payloadType: 96,
      srtp: new SrtpSender(keys),
      firstSequence: 65_530,
      writer: recordingWriter((packet) => packets.push(packet)),
    });
    const payloads = Array.from({ length: 12 }, (_, i) => randomBytes(1 + 100 * i));
    payloads.forEach((payload, i) => {
      stream.send(payload, stream.timestampOf(3000 * i), i % 3 === 2);
    });
    const receiver = new SrtpSession(weriftConfig(keys));
    const opened = packets.map((packet) => RtpPacket.deSerialize(receiver.decrypt(packet)));
    expect(opened.map(({ header }) => header.sequenceNumber)).toEqual([
      65530, 65531, 65532, 65533, 65534, 65535, 0, 1, 2, 3, 4, 5,
    ]);
    expect(opened.map(({ header }) => header.marker)).toEqual(payloads.map((_, i) => i % 3 === 2));
    expect(opened.every(({ header }) => header.ssrc === 0xfedc_ba98 && header.payloadType === 96)).toBe(true);
    opened.forEach(({ payload, header }, i) => {
      expect(payload.equals(payloads[i] ?? Buffer.alloc(0))).toBe(true);
      expect(header.timestamp).toBe(stream.timestampOf(3000 * i));
    });
  });

  it('carries a header extension that werift reads, numbered across the streams that carry the number', () => {
    const keys = keysOf(profile);
    const packets: Buffer[] = [];
    const extension = new CongestionExtension(new BandwidthEstimator(), () => 65_500);
    const create = (ssrc: number, ids: CongestionExtensionIds) =>
      new RtpStream({
        ssrc,
        payloadType: 96,
        srtp: new SrtpSender(keys),
        writer: recordingWriter((packet) => packets.push(packet)),
        congestion: { extension, ids },
      });
    const payload = randomBytes(1000);
    create(1, { transportSequence: 3, absSendTime: 2 }).send(payload, 0, true);
    create(2, { transportSequence: undefined, absSendTime: 2 }).send(payload, 0, true);
    create(3, { transportSequence: undefined, absSendTime: undefined }).send(payload, 0, true);
    create(4, { transportSequence: 14, absSendTime: undefined }).send(payload, 0, true);
    const receiver = new SrtpSession(weriftConfig(keys));
    const opened = packets.map((packet) => RtpPacket.deSerialize(receiver.decrypt(packet)));
    expect(
      opened.map(({ header }) => header.extensions.map(({ id, payload: value }) => [id, value.toString('hex')])),
    ).toEqual([
      [[3, '0000']],
      // 1.5 s past the last wrap at 64 s.
      [[2, '060000']],
      [],
      [[14, '0001']],
    ]);
    expect(opened.every((packet) => packet.payload.equals(payload))).toBe(true);
  });

  it('repeats a packet from before the wrap bit by bit, including its header extension and payload type', () => {
    const packets: Buffer[] = [];
    let nowMs = 0;
    const estimator = new BandwidthEstimator();
    const ids = { transportSequence: 3, absSendTime: undefined };
    const stream = new RtpStream({
      congestion: { extension: new CongestionExtension(estimator, () => ++nowMs), ids },
      ssrc: 1,
      payloadType: 96,
      srtp: new SrtpSender(keysOf(profile)),
      firstSequence: 65_535,
      writer: recordingWriter((packet) => packets.push(packet)),
    });
    const payload = randomBytes(500);
    const send = (timestamp: number, payloadType: number) => {
      const sequence = stream.send(payload, timestamp, true, false, payloadType);
      return {
        payload,
        timestamp,
        marker: true,
        sequence,
        payloadType,
        extension: stream.extension,
        pictureId: NO_PICTURE_ID,
      };
    };
    const sent = [send(7, 96), send(8, 63)];
    for (const packet of sent) stream.repeat(packet);
    expect(packets[2]).toEqual(packets[0]);
    expect(packets[3]).toEqual(packets[1]);
    // The next packet is numbered as if nothing had been repeated.
    send(9, 96);
    expect([0, 1, 4].map((i) => packets[i]?.readUInt16BE(17))).toEqual([0, 1, 2]);
  });

  it('exchanges SRTCP with werift', () => {
    const keys = keysOf(profile);
    const werift = new SrtcpSession(weriftConfig(keys));
    const sender = new SrtpSender(keys);
    const receiver = new SrtpReceiver(keys);
    expect(werift.decrypt(protectRtcp(sender, report()))).toEqual(report());
    expect(werift.decrypt(protectRtcp(sender, report()))).toEqual(report());
    expect(receiver.unprotectRtcp(werift.encrypt(report()))).toEqual(report());
  });

  it('rejects packets that are forged, truncated or replayed', () => {
    const keys = keysOf(profile);
    const sender = new SrtpSender(keys);
    const receiver = new SrtpReceiver(keys);
    const [first, second] = [protectRtcp(sender, report()), protectRtcp(sender, report())];
    for (let i = 0; i < first.length; i++) {
      const forged = Buffer.from(first);
      forged[i] = (forged[i] ?? 0) ^ 1;
      expect(receiver.unprotectRtcp(forged)).toBeUndefined();
      expect(receiver.unprotectRtcp(first.subarray(0, i))).toBeUndefined();
    }
    expect(receiver.unprotectRtcp(second)).toEqual(report());
    expect(receiver.unprotectRtcp(first)).toEqual(report());
    expect(receiver.unprotectRtcp(first)).toBeUndefined();
    expect(receiver.unprotectRtcp(second)).toBeUndefined();
    for (let i = 0; i < 40; i++) expect(receiver.unprotectRtcp(protectRtcp(sender, report()))).toEqual(report());
    expect(receiver.unprotectRtcp(second)).toBeUndefined();
  });

  it("tracks the index of each of a viewer's senders separately", () => {
    const keys = keysOf(profile);
    const receiver = new SrtpReceiver(keys);
    const [one, two] = [new SrtpSender(keys), new SrtpSender(keys)];
    const other = report();
    other.writeUInt32BE(77, 4);
    expect(receiver.unprotectRtcp(protectRtcp(one, report()))).toEqual(report());
    expect(receiver.unprotectRtcp(protectRtcp(two, other))).toEqual(other);
  });

  it("decrypts werift's packets across the wrap of the sequence number, in any order, each once", () => {
    const keys = keysOf(profile);
    const werift = new SrtpSession(weriftConfig(keys));
    const packets = Array.from({ length: 12 }, (_, i) => {
      const sequence = (65_530 + i) & 0xffff;
      return { sequence, payload: Buffer.alloc(20, i), srtp: protectRtp(werift, sequence, Buffer.alloc(20, i)) };
    });
    const receiver = new SrtpReceiver(keys);
    const order = [0, 1, 2, 5, 4, 3, 6, 8, 7, 9, 11, 10];
    for (const i of order) {
      const { srtp, sequence, payload } = packets[i] as (typeof packets)[number];
      expect(receiver.unprotectRtp(srtp, 12, SSRC, sequence)).toEqual(payload);
    }
    for (const { srtp, sequence } of packets) expect(receiver.unprotectRtp(srtp, 12, SSRC, sequence)).toBeUndefined();
  });

  it('rejects RTP that is forged, truncated, of another SSRC, or behind the replay window', () => {
    const keys = keysOf(profile);
    const werift = new SrtpSession(weriftConfig(keys));
    const receiver = new SrtpReceiver(keys);
    const first = protectRtp(werift, 7, Buffer.alloc(20, 1));
    for (let i = 0; i < first.length; i++) {
      const forged = Buffer.from(first);
      forged[i] = (forged[i] ?? 0) ^ 1;
      const { sequence, ssrc } = { sequence: forged.readUInt16BE(2), ssrc: forged.readUInt32BE(8) };
      expect(receiver.unprotectRtp(forged, 12, ssrc, sequence)).toBeUndefined();
      if (i >= 12) expect(receiver.unprotectRtp(first.subarray(0, i), 12, SSRC, 7)).toBeUndefined();
    }
    // Forged packets have not moved the window.
    for (let sequence = 8; sequence < 200; sequence++) {
      const srtp = protectRtp(werift, sequence, Buffer.alloc(20, 1));
      expect(receiver.unprotectRtp(srtp, 12, SSRC, sequence)).toEqual(Buffer.alloc(20, 1));
    }
    expect(receiver.unprotectRtp(first, 12, SSRC, 7)).toBeUndefined();
  });
});

describe('SrtpReceiver', () => {
  const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

  it.each([
    {
      profile: 'AES128_CM_HMAC_SHA1_80',
      masterSalt: hex('0ec675ad498afeebb6960b3aabe6'),
      masterKey: hex('e1f97a0d3e018be0d64fa32c06de4139'),
      srtp: hex('800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb'),
    },
    {
      profile: 'AEAD_AES_128_GCM',
      masterSalt: hex('a0a1a2a3a4a5a6a7a8a9aaab'),
      masterKey: hex('000102030405060708090a0b0c0d0e0f'),
      srtp: hex('800f1234 decafbad cafebabe c5002ede 04cfdd2e b91159e0 880aa06e d2976826 f796b201 df3131a1 27e8a392'),
    },
  ] as const)('decrypts the test vector of libsrtp ($profile)', ({ profile, masterKey, masterSalt, srtp }) => {
    const receiver = new SrtpReceiver({ profile, masterKey, masterSalt });
    expect(receiver.unprotectRtp(srtp, 12, 0xcafe_babe, 0x1234)).toEqual(Buffer.alloc(16, 0xab));
  });

  it('remembers a limited number of senders', () => {
    const keys = keysOf('AEAD_AES_128_GCM');
    const receiver = new SrtpReceiver(keys);
    const packets: { srtp: Buffer; ssrc: number }[] = [];
    for (let ssrc = 1; ssrc <= 20; ssrc++) {
      const send = (srtp: Buffer) => packets.push({ srtp, ssrc });
      const options = { ssrc, payloadType: 96, srtp: new SrtpSender(keys), firstSequence: 5 };
      new RtpStream({ ...options, writer: recordingWriter(send) }).send(Buffer.alloc(5), 0, false);
    }
    for (const { srtp, ssrc } of packets) expect(receiver.unprotectRtp(srtp, 12, ssrc, 5)).toBeDefined();
    const [first, last] = [packets[0] as (typeof packets)[number], packets[19] as (typeof packets)[number]];
    expect(receiver.unprotectRtp(last.srtp, 12, last.ssrc, 5)).toBeUndefined();
    expect(receiver.unprotectRtp(first.srtp, 12, first.ssrc, 5)).toBeDefined();
  });
});
