import { createHash, X509Certificate } from 'node:crypto';
import { Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import type { IceServer } from '@humancast/protocol';
import {
  Candidate,
  CipherContext,
  Connection,
  classes,
  DtlsClient,
  HashAlgorithm,
  Message,
  methods,
  NamedCurveAlgorithm,
  ProtectionProfileAeadAes128Gcm,
  ProtectionProfileAes128CmHmacSha1_80,
  RtcpPacketConverter,
  RtcpRrPacket,
  RtcpSrPacket,
  RtpPacket,
  SignatureAlgorithm,
  SrtcpSession,
  SrtpSession,
  StunOverTurnProtocol,
} from 'werift';
import type { LocalDescription, Offer } from './receiver-answer.js';

export interface ReceiverLinkOptions {
  readonly offer: Offer;
  readonly iceServers: readonly IceServer[];
  readonly relayOnly: boolean;
  /** An RTP or RTCP packet as received. */
  readonly onMedia: (data: Buffer, arrivedMs: number) => void;
  /** A DTLS datagram as sent. */
  readonly onHandshakeSent?: ((datagram: Buffer) => void) | undefined;
}

/** Content of a sender report (RFC 3550 §6.4.1). */
export interface RtcpReport {
  readonly ssrc: number;
  readonly ntp: bigint;
  readonly rtpTimestamp: number;
}

type Certificate = Awaited<ReturnType<typeof CipherContext.createSelfSignedCertificateWithKey>>;

let certificate: Promise<Certificate> | undefined;
const RECEIVER_SSRC = 1;
const EARLY_LIMIT = 500;
const RELEASE_TIMEOUT_MS = 500;
/** AES-128, for both profiles. */
const MASTER_KEY_BYTES = 16;
const MASTER_SALT_BYTES: Readonly<Record<number, number>> = {
  [ProtectionProfileAeadAes128Gcm]: 12,
  [ProtectionProfileAes128CmHmacSha1_80]: 14,
};

/** ICE (controlling, on loopback) and a DTLS client, with the SRTP keys it derives. */
export class ReceiverLink {
  readonly description: LocalDescription;
  readonly #ice: Connection;
  readonly #dtls: DtlsClient;
  readonly #fingerprint: Offer['fingerprint'];
  #srtp: SrtpSession | undefined;
  #srtcp: SrtcpSession | undefined;
  readonly #onMedia: ReceiverLinkOptions['onMedia'];
  readonly #onHandshakeSent: ReceiverLinkOptions['onHandshakeSent'];
  /** Media that arrives before the own handshake has finished. */
  #early: { data: Buffer; arrivedMs: number }[] | undefined = [];
  #closed = false;

  /** Gathers candidates, after which {@link description} is complete. */
  static async open(options: ReceiverLinkOptions): Promise<ReceiverLink> {
    certificate ??= CipherContext.createSelfSignedCertificateWithKey(
      { signature: SignatureAlgorithm.ecdsa_3, hash: HashAlgorithm.sha256_4 },
      NamedCurveAlgorithm.secp256r1_23,
    );
    const link = new ReceiverLink(options, await certificate);
    await link.#ice.gatherCandidates();
    return link;
  }

  private constructor(
    { offer, iceServers, relayOnly, onMedia, onHandshakeSent }: ReceiverLinkOptions,
    own: Certificate,
  ) {
    this.#onHandshakeSent = onHandshakeSent;
    this.#fingerprint = offer.fingerprint;
    this.#onMedia = onMedia;
    this.#ice = new Connection(true, {
      useTcp: false,
      useIpv6: false,
      additionalHostAddresses: ['127.0.0.1'],
      interfaceAddresses: { udp4: '127.0.0.1' },
      ...(relayOnly && { forceTurn: true, ...turnOptions(iceServers) }),
    });
    // Without one, werift uses a public STUN server.
    delete this.#ice.stunServer;
    const { usernameFragment, password } = offer;
    this.#ice.setRemoteParams({ iceLite: true, usernameFragment, password });
    this.description = {
      usernameFragment: this.#ice.localUsername,
      password: this.#ice.localPassword,
      fingerprint: new X509Certificate(own.certPem).fingerprint256,
    };
    for (const candidate of offer.candidates) void this.#ice.addRemoteCandidate(Candidate.fromSdp(candidate));
    void this.#ice.addRemoteCandidate(undefined);
    this.#dtls = this.#createDtls(own);
    this.#ice.onData.subscribe((data) => {
      const arrivedMs = performance.now();
      // Demultiplexes by the first byte (RFC 7983 §7).
      const first = data[0] ?? 0;
      if (first >= 128 && first <= 191) this.#receive(data, arrivedMs);
      else if (first >= 20 && first <= 63) this.#dtls.transport.socket.onData(data, ['', 0]);
    });
  }

  async connect(): Promise<void> {
    await this.#ice.connect();
    const done = Promise.withResolvers<void>();
    this.#dtls.onConnect.once(() => done.resolve());
    this.#dtls.onError.subscribe((error) => done.reject(error));
    this.#dtls.onClose.subscribe(() => done.reject(new Error('DTLS closed')));
    await Promise.all([this.#dtls.connect(), done.promise]);
    this.#checkPeer();
    this.#startSrtp();
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const { data, arrivedMs } of early) this.#onMedia(data, arrivedMs);
  }

  /** @returns the payload; `undefined` if it cannot be decrypted. */
  unprotectRtp(data: Buffer): Buffer | undefined {
    try {
      return this.#srtp && RtpPacket.deSerialize(this.#srtp.decrypt(data)).payload;
    } catch {
      return undefined;
    }
  }

  unprotectRtcp(data: Buffer): RtcpReport[] {
    try {
      return RtcpPacketConverter.deSerialize(this.#srtcp?.decrypt(data) ?? Buffer.alloc(0))
        .filter((packet) => packet instanceof RtcpSrPacket)
        .map(({ ssrc, senderInfo }) => ({
          ssrc,
          ntp: senderInfo.ntpTimestamp,
          rtpTimestamp: senderInfo.rtpTimestamp,
        }));
    } catch {
      return [];
    }
  }

  /** Sends an empty receiver report as a keep-alive. */
  sendReceiverReport(): void {
    this.sendRtcp(new RtcpRrPacket({ ssrc: RECEIVER_SSRC, reports: [] }).serialize());
  }

  /** Encrypts any bytes, at least 8, as a compound RTCP packet. */
  sendRtcp(compound: Buffer): void {
    if (this.#srtcp && !this.#closed) this.sendDatagram(this.#srtcp.encrypt(compound));
  }

  /** Sends bytes unchanged over the selected path. */
  sendDatagram(datagram: Buffer): void {
    if (!this.#closed) void this.#ice.send(datagram).catch(() => {});
  }

  /**
   * Stops or starts reading of its UDP sockets: what arrives meanwhile fills their buffers, and then the kernel drops it. It
   * still sends. For benchmarks, in which a viewer must not use the CPU that the sender is measured on.
   */
  setReading(reading: boolean): void {
    const { protocols } = this.#ice as unknown as {
      readonly protocols: readonly { transport?: { socket?: unknown } }[];
    };
    for (const { transport } of protocols)
      if (transport?.socket instanceof Socket) setReading(transport.socket, reading);
  }

  /** Whether it has a relay candidate. */
  get isRelayed(): boolean {
    return this.#ice.localCandidates.some(({ type }) => type === 'relay');
  }

  /** Resolves when the relay has been returned, or does not answer. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#dtls.close();
    await this.#releaseRelays().catch(() => {});
    await this.#ice.close().catch(() => {});
  }

  /**
   * Refreshes the allocation with lifetime 0 (RFC 8656 §7), as browsers do and werift does not. A forgotten allocation
   * counts against its user's quota for ten minutes, so a viewer whose session changes hosts often would get no relay.
   */
  async #releaseRelays(): Promise<void> {
    const { protocols } = this.#ice as unknown as { readonly protocols: readonly unknown[] };
    const relays = protocols.flatMap((protocol) => (protocol instanceof StunOverTurnProtocol ? [protocol.turn] : []));
    const answered = relays.map((relay) => {
      const request = new Message(methods.REFRESH, classes.REQUEST).setAttribute('LIFETIME', 0);
      return relay.requestWithRetry(request, relay.server);
    });
    await Promise.race([Promise.all(answered), sleep(RELEASE_TIMEOUT_MS)]);
  }

  #receive(data: Buffer, arrivedMs: number): void {
    if (!this.#early) this.#onMedia(data, arrivedMs);
    else if (this.#early.length < EARLY_LIMIT) this.#early.push({ data, arrivedMs });
  }

  #createDtls(own: Certificate): DtlsClient {
    return new DtlsClient({
      cert: own.certPem,
      key: own.keyPem,
      signatureHash: own.signatureHash,
      srtpProfiles: [ProtectionProfileAeadAes128Gcm, ProtectionProfileAes128CmHmacSha1_80],
      extendedMasterSecret: true,
      transport: {
        type: 'ice',
        address: { address: '', family: '', port: 0 },
        closed: false,
        onData: () => {},
        send: async (datagram) => {
          this.#onHandshakeSent?.(Buffer.from(datagram));
          if (!this.#closed) await this.#ice.send(datagram);
        },
        close: async () => {},
      },
    });
  }

  #checkPeer(): void {
    const { algorithm, value } = this.#fingerprint;
    const peer = this.#dtls.remoteCertificate;
    if (!peer) throw new Error('the peer has no certificate');
    const actual = createHash(algorithm.replace('-', '')).update(peer).digest('hex');
    if (actual !== value.replaceAll(':', '').toLowerCase()) throw new Error('the certificate is not the offered one');
  }

  #startSrtp(): void {
    const profile = this.#dtls.srtp.srtpProfile;
    if (profile === undefined) throw new Error('no common SRTP profile');
    const saltBytes = MASTER_SALT_BYTES[profile] ?? 0;
    const { localKey, localSalt, remoteKey, remoteSalt } = this.#dtls.extractSessionKeys(MASTER_KEY_BYTES, saltBytes);
    const keys = {
      localMasterKey: localKey,
      localMasterSalt: localSalt,
      remoteMasterKey: remoteKey,
      remoteMasterSalt: remoteSalt,
    };
    this.#srtp = new SrtpSession({ keys, profile });
    this.#srtcp = new SrtcpSession({ keys, profile });
  }
}

/** Node.js has no such method; its UDP handle has. */
function setReading(socket: Socket, reading: boolean): void {
  const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol');
  const state = socket as unknown as Record<symbol, { readonly handle: { recvStart(): void; recvStop(): void } }>;
  const handle = key && state[key]?.handle;
  if (!handle) throw new Error('this version of Node.js keeps the handle of a UDP socket elsewhere');
  if (reading) handle.recvStart();
  else handle.recvStop();
}

function turnOptions(iceServers: readonly IceServer[]) {
  for (const { urls, username, credential } of iceServers) {
    for (const url of urls) {
      const match = /^turn:([^:?]+):(\d+)(?:\?transport=(udp|tcp))?$/.exec(url);
      if (!match || username === undefined || credential === undefined) continue;
      const [, host = '', port = '', transport] = match;
      return {
        turnServer: [host, Number(port)] as [string, number],
        turnUsername: username,
        turnPassword: credential,
        turnTransport: transport === 'tcp' ? ('tcp' as const) : ('udp' as const),
      };
    }
  }
  throw new Error('relayOnly needs a usable TURN server');
}
