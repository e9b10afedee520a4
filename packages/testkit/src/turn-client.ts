import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';

/** STUN and TURN (RFC 8489, RFC 8656) over UDP, as far as an attacker needs them. */
const COOKIE = Buffer.from([0x21, 0x12, 0xa4, 0x42]);
const METHOD = { allocate: 0x003, refresh: 0x004, send: 0x006, createPermission: 0x008, channelBind: 0x009 } as const;
const ATTRIBUTE = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  channelNumber: 0x000c,
  xorPeerAddress: 0x0012,
  realm: 0x0014,
  nonce: 0x0015,
  requestedAddressFamily: 0x0017,
  requestedTransport: 0x0019,
} as const;
const TRANSPORT = { tcp: 6, udp: 17 } as const;
const RETRY_MS = 400;
const ATTEMPTS = 8;

export interface Credentials {
  username: string;
  password: string;
}

/** @returns ephemeral credentials like signaling's (draft-uberti-behave-turn-rest). */
export function ephemeral(secret: string, expiresInSeconds: number, holder = 'test'): Credentials {
  const username = `${Math.floor(Date.now() / 1000) + expiresInSeconds}:${holder}`;
  return { username, password: createHmac('sha1', secret).update(username).digest('base64') };
}

/** Answer of a TURN server: 0 on success, else the STUN error code; `undefined` without an answer. */
export type TurnAnswer = number | undefined;
type Attributes = [type: number, value: Buffer][];

export class TurnClient {
  readonly #socket: Socket = createSocket('udp4');
  readonly #credentials: Credentials;
  readonly #port: number;
  readonly #waiting = new Map<string, (message: Buffer) => void>();
  #realm = '';
  #nonce = '';

  constructor(port: number, credentials: Credentials) {
    this.#port = port;
    this.#credentials = credentials;
    this.#socket.on('message', (message) => this.#waiting.get(message.subarray(8, 20).toString('hex'))?.(message));
  }

  allocate(options: { transport?: keyof typeof TRANSPORT; ipv6?: boolean } = {}): Promise<TurnAnswer> {
    const { transport = 'udp', ipv6 = false } = options;
    const attributes: Attributes = [[ATTRIBUTE.requestedTransport, Buffer.from([TRANSPORT[transport], 0, 0, 0])]];
    if (ipv6) attributes.push([ATTRIBUTE.requestedAddressFamily, Buffer.from([2, 0, 0, 0])]);
    return this.#request(METHOD.allocate, attributes);
  }

  /** Requests permission to send to a peer. */
  permit(address: string, port = 9): Promise<TurnAnswer> {
    return this.#authenticated(METHOD.createPermission, (id) => [
      [ATTRIBUTE.xorPeerAddress, xorAddress(address, port, id)],
    ]);
  }

  bindChannel(address: string, port = 9): Promise<TurnAnswer> {
    return this.#authenticated(METHOD.channelBind, (id) => [
      [ATTRIBUTE.channelNumber, Buffer.from([0x40, 0, 0, 0])],
      [ATTRIBUTE.xorPeerAddress, xorAddress(address, port, id)],
    ]);
  }

  close(): void {
    this.#socket.close();
  }

  async #request(method: number, attributes: Attributes): Promise<TurnAnswer> {
    return this.#authenticated(method, () => attributes);
  }

  /** Sends a request, first without credentials to get a nonce, and again if the nonce is stale (RFC 8489 §9.2). */
  async #authenticated(method: number, attributesFor: (id: Buffer) => Attributes): Promise<TurnAnswer> {
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#exchange(method, attributesFor);
      if (!answer) return undefined;
      const code = errorOf(answer);
      const renewed = code === 438 || (code === 401 && this.#nonce === '');
      if (!renewed || attempt === 2) return code;
      this.#realm = attributeOf(answer, ATTRIBUTE.realm)?.toString() ?? '';
      this.#nonce = attributeOf(answer, ATTRIBUTE.nonce)?.toString() ?? '';
    }
  }

  async #exchange(method: number, attributesFor: (id: Buffer) => Attributes): Promise<Buffer | undefined> {
    const id = randomBytes(12);
    const message = this.#encode(method, id, attributesFor(id));
    const key = id.toString('hex');
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    this.#waiting.set(key, resolve);
    let sent = 0;
    const send = () => {
      if (sent++ < ATTEMPTS) this.#socket.send(message, this.#port, '127.0.0.1');
      else resolve(undefined);
    };
    const timer = setInterval(send, RETRY_MS);
    send();
    const answer = await promise;
    clearInterval(timer);
    this.#waiting.delete(key);
    return answer;
  }

  #encode(method: number, id: Buffer, attributes: Attributes): Buffer {
    const { username, password } = this.#credentials;
    if (this.#nonce === '') return encode(method, id, attributes);
    const all: Attributes = [
      ...attributes,
      [ATTRIBUTE.username, Buffer.from(username)],
      [ATTRIBUTE.realm, Buffer.from(this.#realm)],
      [ATTRIBUTE.nonce, Buffer.from(this.#nonce)],
    ];
    const key = createHash('md5').update(`${username}:${this.#realm}:${password}`).digest();
    // The length in the header counts the integrity attribute itself (RFC 8489 §14.5).
    const body = encode(method, id, all);
    const signed = Buffer.from(body);
    signed.writeUInt16BE(body.length - 20 + 24, 2);
    const mac = createHmac('sha1', key).update(signed).digest();
    return encode(method, id, [...all, [ATTRIBUTE.messageIntegrity, mac]]);
  }
}

function encode(method: number, id: Buffer, attributes: Attributes): Buffer {
  const parts = attributes.flatMap(([type, value]) => {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(value.length, 2);
    return [head, value, Buffer.alloc((4 - (value.length % 4)) % 4)];
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(method, 0);
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([head, COOKIE, id, body]);
}

function attributeOf(message: Buffer, wanted: number): Buffer | undefined {
  for (let at = 20; at + 4 <= message.length; ) {
    const length = message.readUInt16BE(at + 2);
    if (message.readUInt16BE(at) === wanted) return message.subarray(at + 4, at + 4 + length);
    at += 4 + length + ((4 - (length % 4)) % 4);
  }
  return undefined;
}

function errorOf(message: Buffer): number {
  const value = attributeOf(message, ATTRIBUTE.errorCode);
  return value ? (value[2] ?? 0) * 100 + (value[3] ?? 0) : 0;
}

/** @returns XOR-PEER-ADDRESS (RFC 8489 §14.2). */
function xorAddress(address: string, port: number, id: Buffer): Buffer {
  const bytes = address.includes(':') ? ipv6Bytes(address) : Buffer.from(address.split('.').map(Number));
  const mask = Buffer.concat([COOKIE, id]);
  const head = Buffer.from([0, bytes.length === 16 ? 2 : 1, 0, 0]);
  head.writeUInt16BE(port ^ 0x2112, 2);
  return Buffer.concat([head, bytes.map((byte, i) => byte ^ (mask[i] ?? 0))]);
}

/** @param address full or `::`-shortened, with or without an IPv4 address at its end (RFC 4291 §2.2). */
function ipv6Bytes(address: string): Buffer {
  const mapped = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (a: string | undefined, b: string | undefined) => (Number(a) * 256 + Number(b)).toString(16);
  const text = mapped ? `${mapped[1]}${hex(mapped[2], mapped[3])}:${hex(mapped[4], mapped[5])}` : address;
  const [head = '', tail = ''] = text.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const [first, last] = [groups(head), groups(tail)];
  const all = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
  const bytes = Buffer.alloc(16);
  all.forEach((group, i) => {
    bytes.writeUInt16BE(group, i * 2);
  });
  return bytes;
}
