import { endianness } from 'node:os';

/** All arguments are as wide as a pointer: only such functions are called without going through libffi. */
const P = 'pointer';
const INT = 'int32';
const SIGNATURES = {
  // The C library.
  socket: { arguments: [P, P, P], return: INT },
  bind: { arguments: [P, P, P], return: INT },
  setsockopt: { arguments: [P, P, P, P, P], return: INT },
  close: { arguments: [P], return: INT },
  inet_pton: { arguments: [P, P, P], return: INT },
  sendmmsg: { arguments: [P, P, P, P], return: INT },
  sched_setscheduler: { arguments: [P, P, P], return: INT },
  __errno_location: { arguments: [], return: P },
  // OpenSSL, which is part of Node.js.
  EVP_aes_128_gcm: { arguments: [], return: P },
  EVP_aes_128_ctr: { arguments: [], return: P },
  EVP_CIPHER_CTX_new: { arguments: [], return: P },
  EVP_EncryptInit_ex: { arguments: [P, P, P, P, P], return: INT },
  EVP_Cipher: { arguments: [P, P, P, P], return: INT },
  EVP_CIPHER_CTX_ctrl: { arguments: [P, P, P, P], return: INT },
  EVP_MAC_fetch: { arguments: [P, P, P], return: P },
  EVP_MAC_CTX_new: { arguments: [P], return: P },
  EVP_MAC_init: { arguments: [P, P, P, P], return: INT },
  EVP_MAC_update: { arguments: [P, P, P], return: INT },
  EVP_MAC_final: { arguments: [P, P, P, P], return: INT },
} as const;

/** Pointers, numbers and descriptors are all passed as 64-bit integers. */
type Values<T extends readonly unknown[]> = { [I in keyof T]: bigint };
interface Returned {
  readonly int32: number;
  readonly pointer: bigint;
}
type Signatures = typeof SIGNATURES;
type Functions = {
  readonly [K in keyof Signatures]: (
    ...values: Values<[...Signatures[K]['arguments']]>
  ) => Returned[Signatures[K]['return']];
};

export const NULL = 0n;
const MAX_INTEGER = 4096;
const INTEGERS = Array.from({ length: MAX_INTEGER + 1 }, (_, i) => BigInt(i));

/** @returns a length or a count as native functions take it, without allocating. @throws RangeError outside 0 to 4096. */
export function integer(value: number): bigint {
  const found = INTEGERS[value];
  if (found === undefined) throw new RangeError(`not an integer from 0 to ${MAX_INTEGER}: ${value}`);
  return found;
}

/** Memory that native code may access. Its size is fixed, and it lives as long as the process. */
export interface NativeMemory {
  readonly bytes: Buffer;
  /** The address of its first byte. */
  readonly address: bigint;
}

/** Functions of the C library and OpenSSL, called through `node:ffi`. No other module uses `node:ffi`. */
export class NativeLibrary {
  readonly call: Functions;
  readonly #ffi: typeof import('node:ffi');
  /** Keeps the memory that native code points to from the garbage collector. */
  readonly #memories: NativeMemory[] = [];
  readonly #errnoAddress: bigint;

  private constructor(ffi: typeof import('node:ffi')) {
    this.#ffi = ffi;
    this.call = ffi.dlopen(null, SIGNATURES).functions as unknown as Functions;
    this.#errnoAddress = this.call.__errno_location();
  }

  /** @throws Error with the reason if this platform or Node.js does not support it. */
  static load(): NativeLibrary {
    const { platform, arch, permission } = process;
    if (platform !== 'linux' || !['x64', 'arm64'].includes(arch) || endianness() !== 'LE') {
      throw new Error(`the native packet path supports Linux on x64 and arm64, not ${platform} on ${arch}`);
    }
    if (permission && !permission.has('ffi')) throw new Error('the permission model does not allow node:ffi');
    const ffi = withoutWarning(() => process.getBuiltinModule('node:ffi'));
    if (!ffi) throw new Error(`Node.js ${process.version} has no node:ffi`);
    return new NativeLibrary(ffi);
  }

  /** @returns zeroed memory, which is never freed: to be allocated once per process, not once per viewer. */
  allocate(bytes: number): NativeMemory {
    const buffer = Buffer.from(new ArrayBuffer(bytes));
    const memory = { bytes: buffer, address: this.#ffi.getRawPointer(buffer.buffer) };
    this.#memories.push(memory);
    return memory;
  }

  /** @returns the error number of the call that has just failed. */
  errno(): number {
    return this.#ffi.getInt32(this.#errnoAddress, 0);
  }
}

/**
 * Loads a module without the warning that `node:ffi` is experimental (docs/decisions), which is not for the users of each
 * process.
 */
function withoutWarning<T>(load: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
