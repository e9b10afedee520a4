import { compositionSchema, type RenditionConfig } from '@humancast/protocol';
import { type SegmentManifest } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import {
  BT601,
  BT709,
  BT2020,
  type Coding,
  coded,
  convertPrimaries,
  hlgSignal,
  PRIMARIES_709,
  PRIMARIES_2020,
  PRIMARIES_P3,
  pqSignal,
  quarters,
  type Rgb,
  SMPTE240M,
} from '../../testing/colors.js';
import { useLoaderFixture } from '../../testing/loader-fixture.js';

const SIDE = 128;
const VP8: RenditionConfig = { id: 'vp8', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 2_000_000 };
const H264: RenditionConfig = { id: 'h264', codec: 'h264', maxWidth: 1280, maxHeight: 720, bitrateBps: 2_000_000 };
/** The color coding that a viewer's decoder assumes for each rendition. */
const SHOWN: readonly Coding[] = [
  { ...BT601, isFull: false, bits: 8 },
  { ...BT709, isFull: false, bits: 8 },
];
const PLACES = [
  { x: 0.25, y: 0.25 },
  { x: 0.75, y: 0.25 },
  { x: 0.25, y: 0.75 },
  { x: 0.75, y: 0.75 },
];

/** Skin, red, green and blue, none near the limits of the gamut. */
const COLORS: readonly Rgb[] = [
  [0.85, 0.65, 0.55],
  [0.75, 0.2, 0.2],
  [0.2, 0.65, 0.3],
  [0.25, 0.3, 0.8],
];
/** Colors below 30 % of white, where tone mapping changes nothing. */
const DARK: readonly Rgb[] = [
  [0.28, 0.18, 0.12],
  [0.25, 0.05, 0.04],
  [0.05, 0.2, 0.08],
  [0.18, 0.18, 0.18],
];

/** Compares the colors of real files with values computed from ITU recommendations without FFmpeg. */
describe('the colors of a segment', () => {
  const fixture = useLoaderFixture();
  const { clips } = fixture;

  interface Source extends Coding {
    readonly format: string;
    readonly chroma: readonly [number, number];
    readonly tags: readonly string[];
    readonly codec?: readonly string[];
    readonly container?: string;
  }

  async function file(name: string, signals: readonly Rgb[], source: Source): Promise<string> {
    const { format, chroma, tags, codec = ['-c:v', 'ffv1'], container = 'mkv', bits } = source;
    const frame = quarters(
      signals.map((rgb) => coded(rgb, source)),
      SIDE,
      chroma,
      bits,
    );
    const raw = await clips.bytes(`${name}.raw`, Buffer.concat(new Array<Buffer>(5).fill(frame)));
    const input = ['-f', 'rawvideo', '-pix_fmt', format, '-s', `${SIDE}x${SIDE}`, '-r', '10'];
    const range = ['-color_range', source.isFull ? 'pc' : 'tv'];
    return clips.make(`${name}.${container}`, [...input, ...range, '-i', raw, ...codec, ...range, ...tags]);
  }

  async function expectColors(
    manifest: SegmentManifest,
    colors: readonly Rgb[],
    tolerance = 4,
    shown = SHOWN,
  ): Promise<void> {
    for (const [rendition, coding] of shown.entries()) {
      for (const [i, color] of colors.entries()) {
        const { pixels } = await fixture.decode(manifest, rendition, PLACES[i]);
        const [seen, right] = [pixels.at(-1), coded(color, coding)];
        const off = Math.max(...(['y', 'u', 'v'] as const).map((of) => Math.abs((seen?.[of] ?? 0) - right[of])));
        const what = `${manifest.renditions[rendition]?.codec} ${i}: ${JSON.stringify(seen)} for ${JSON.stringify(right)}`;
        expect(off, what).toBeLessThanOrEqual(tolerance);
      }
    }
  }

  const load = (path: string, renditions = [VP8, H264]) =>
    fixture.load([path], ([video = -1]) => ({ video, audio: undefined }), { renditions });

  const bt709 = ['-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709'];
  const bt601 = ['-colorspace', 'smpte170m', '-color_primaries', 'smpte170m', '-color_trc', 'smpte170m'];
  const lossless = ['-c:v', 'libx264', '-qp', '0', '-preset', 'ultrafast'];
  const limited = { isFull: false, bits: 8, chroma: [2, 2] as const, format: 'yuv420p' };
  const full = { ...limited, isFull: true };
  const sources: readonly [string, Source][] = [
    ['BT.709', { ...BT709, ...limited, tags: bt709 }],
    ['BT.709 in H.264', { ...BT709, ...limited, tags: bt709, codec: lossless, container: 'mp4' }],
    ['BT.601', { ...BT601, ...limited, tags: bt601 }],
    ['BT.601 of PAL', { ...BT601, ...limited, tags: ['-colorspace', 'bt470bg', '-color_primaries', 'bt470bg'] }],
    ['no stated matrix', { ...BT601, ...limited, tags: [] }],
    ['SMPTE 240M', { ...SMPTE240M, ...limited, tags: ['-colorspace', 'smpte240m'] }],
    ['BT.709 of full range', { ...BT709, ...full, tags: bt709 }],
    ['BT.709 of full range in H.264', { ...BT709, ...full, tags: bt709, codec: lossless, container: 'mp4' }],
    ['BT.601 of full range', { ...BT601, ...full, tags: bt601 }],
    [
      'yuvj420p',
      { ...BT601, ...full, format: 'yuvj420p', tags: [], codec: ['-c:v', 'mjpeg', '-q:v', '1'], container: 'mov' },
    ],
    ['10 bits', { ...BT709, ...limited, bits: 10, format: 'yuv420p10le', tags: bt709 }],
    ['10 bits of full range', { ...BT709, ...full, bits: 10, format: 'yuv420p10le', tags: bt709 }],
    ['12 bits, 4:4:4', { ...BT709, ...limited, bits: 12, chroma: [1, 1], format: 'yuv444p12le', tags: bt709 }],
    ['4:2:2', { ...BT709, ...limited, chroma: [2, 1], format: 'yuv422p', tags: bt709 }],
    [
      '4:4:4 in H.264',
      { ...BT709, ...limited, chroma: [1, 1], format: 'yuv444p', tags: bt709, codec: lossless, container: 'mp4' },
    ],
    ['4:4:4 of full range', { ...BT601, ...full, chroma: [1, 1], format: 'yuv444p', tags: bt601 }],
  ];
  it.each(sources)('from %s are right in VP8 and H.264', async (name, source) => {
    await expectColors(await load(await file(name, COLORS, source)), COLORS);
  });

  it.each(sources.filter(([name]) => /^(BT\.709|BT\.601 of full range|10 bits)$/.test(name)))(
    'from %s are right in each rung of a ladder',
    async (name, source) => {
      const ladder = [VP8, H264].flatMap((largest) => [
        largest,
        { ...largest, id: `${largest.id}-half`, maxWidth: SIDE / 2, maxHeight: SIDE / 2 },
        { ...largest, id: `${largest.id}-quarter`, maxWidth: SIDE / 4, maxHeight: SIDE / 4 },
      ]);
      const manifest = await load(await file(`ladder-${name}`, COLORS, source), ladder);
      expect(manifest.renditions.map(({ width }) => width)).toEqual([128, 128, 64, 32, 64, 32]);
      const shown = [...SHOWN, ...SHOWN.flatMap((coding) => [coding, coding])];
      await expectColors(manifest, COLORS, 4, shown);
    },
    90_000,
  );

  it.each([
    ['rgb24.png', ['-frames:v', '1']],
    ['gbrp.mp4', ['-c:v', 'libx264rgb', '-qp', '0', '-pix_fmt', 'rgb24']],
    ['gbrp10.mkv', ['-c:v', 'ffv1', '-pix_fmt', 'gbrp10le']],
    ['bgra.bmp', ['-frames:v', '1', '-pix_fmt', 'bgra']],
  ])('from RGB in %s are right', async (name, output) => {
    const bytes = Buffer.concat(
      Array.from({ length: SIDE * SIDE }, (_, i) => {
        const quarter = (i % SIDE >= SIDE / 2 ? 1 : 0) + (Math.floor(i / SIDE) >= SIDE / 2 ? 2 : 0);
        return Buffer.from((COLORS[quarter] ?? [0, 0, 0]).map((value) => Math.round(255 * value)));
      }),
    );
    const raw = await clips.bytes(`${name}.raw`, bytes);
    const input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${SIDE}x${SIDE}`, '-r', '10', '-i', raw];
    await expectColors(await load(await clips.make(name, [...input, ...output])), COLORS);
  });

  /** BT.1886: the light that a display emits for a signal. */
  const light = (rgb: Rgb) => rgb.map((value) => value ** 2.4) as unknown as Rgb;
  const signal = (rgb: Rgb) => rgb.map((value) => Math.max(0, value) ** (1 / 2.4)) as unknown as Rgb;

  it.each([
    [
      'BT.2020',
      PRIMARIES_2020,
      { ...BT2020, ...limited, bits: 10, format: 'yuv420p10le' },
      ['bt2020nc', 'bt2020', 'bt2020-10'],
    ],
    [
      'BT.2020 of full range',
      PRIMARIES_2020,
      { ...BT2020, ...full, bits: 10, format: 'yuv420p10le' },
      ['bt2020nc', 'bt2020', 'bt2020-10'],
    ],
    ['Display P3', PRIMARIES_P3, { ...BT709, ...limited }, ['bt709', 'smpte432', 'bt709']],
  ] as const)(
    'from %s are converted to the primaries of a display',
    async (name, primaries, source, [matrix, gamut, transfer]) => {
      const signals = COLORS.map((color) => signal(convertPrimaries(light(color), PRIMARIES_709, primaries)));
      const tags = ['-colorspace', matrix, '-color_primaries', gamut, '-color_trc', transfer];
      await expectColors(await load(await file(name, signals, { ...source, tags })), COLORS, 5);
    },
  );

  const WHITE_NITS = 203;
  const hdr = (transfer: string) => ['-colorspace', 'bt2020nc', '-color_primaries', 'bt2020', '-color_trc', transfer];
  const tenBits = { ...BT2020, ...limited, bits: 10, format: 'yuv420p10le' };
  /** HLG's nominal display has 1000 cd/m²; its gamma is removed per channel, as zimg does. */
  const hlg = (relative: number) => hlgSignal(Math.max(0, (relative * WHITE_NITS) / 1000) ** (1 / 1.2));
  const pq = (relative: number) => pqSignal(Math.max(0, relative) * WHITE_NITS);
  const transfers: readonly [string, string, (relative: number) => number, Source][] = [
    ['PQ', 'smpte2084', pq, { ...tenBits, tags: hdr('smpte2084') }],
    ['HLG', 'arib-std-b67', hlg, { ...tenBits, tags: hdr('arib-std-b67') }],
    ['PQ of full range', 'smpte2084', pq, { ...tenBits, isFull: true, tags: hdr('smpte2084') }],
    ['HLG of 12 bits', 'arib-std-b67', hlg, { ...tenBits, bits: 12, format: 'yuv420p12le', tags: hdr('arib-std-b67') }],
  ];
  it.each(transfers)('from %s match the scene up to 30 %% of white', async (name, _, transfer, source) => {
    const signals = DARK.map(
      (color) => convertPrimaries(color, PRIMARIES_709, PRIMARIES_2020).map(transfer) as unknown as Rgb,
    );
    await expectColors(await load(await file(name, signals, source)), DARK.map(signal), 6);
  });

  it.each(transfers.slice(0, 2))(
    'from %s above 30 %% of white are compressed, up to 1000 cd/m², and stay neutral',
    async (name, _, transfer, source) => {
      const grays = [0.5, 1, 2, 1000 / WHITE_NITS].map(
        (relative): Rgb => [transfer(relative), transfer(relative), transfer(relative)],
      );
      const manifest = await load(await file(`${name} bright`, grays, source));
      const seen = await Promise.all(
        PLACES.map(async (place) => (await fixture.decode(manifest, 1, place)).pixels.at(-1)),
      );
      const lumas = seen.map((pixel) => pixel?.y ?? 0);
      expect(lumas).toEqual(lumas.toSorted((a, b) => a - b));
      expect(new Set(lumas).size).toBe(4);
      // Diffuse white is bright, and the peak is white.
      expect(lumas[1]).toBeGreaterThan(190);
      expect(lumas[3]).toBeGreaterThan(228);
      for (const pixel of seen) {
        expect(Math.abs((pixel?.u ?? 0) - 128)).toBeLessThan(4);
        expect(Math.abs((pixel?.v ?? 0) - 128)).toBeLessThan(4);
      }
    },
  );

  it.each([
    ['BT.709 of full range', COLORS, sources[6]?.[1]],
    ['BT.601', COLORS, sources[2]?.[1]],
    ['10 bits', COLORS, sources[10]?.[1]],
    ['PQ', DARK.map(signal), transfers[0]?.[3]],
  ] as const)('from %s are right in a composition', async (name, colors, source) => {
    if (!source) throw new TypeError(`no source ${name}`);
    const isPq = name === 'PQ';
    const own = isPq
      ? DARK.map((color) => convertPrimaries(color, PRIMARIES_709, PRIMARIES_2020).map(pq) as unknown as Rgb)
      : COLORS;
    const path = await file(`composed ${name}`, own, source);
    const composition = compositionSchema.parse({
      width: SIDE,
      height: SIDE,
      lengthOf: 'face',
      layers: [{ input: 'face', box: { x: 0, y: 0, width: SIDE, height: SIDE } }],
    });
    const media = ([video = -1]: readonly number[]) => ({
      composition,
      inputs: new Map([['face', { video, audio: undefined }]]),
    });
    await expectColors(await fixture.load([path], media, { renditions: [VP8, H264] }), colors, isPq ? 6 : 4);
  });

  describe('of interlaced video', () => {
    /** A white bar that moves by a quarter of its width per field. */
    const moving = "nullsrc=s=128x128:r=50:d=1,geq=lum='if(between(mod(X-4*N+1000,128),0,15),235,16)':cb=128:cr=128";
    it.each([
      [
        'tff.mp4',
        'tinterlace=interleave_top,setfield=tff',
        ['-c:v', 'libx264', '-flags', '+ilme+ildct', '-x264opts', 'tff=1'],
      ],
      [
        'bff.ts',
        'tinterlace=interleave_bottom,setfield=bff',
        ['-c:v', 'mpeg2video', '-flags', '+ilme+ildct', '-b:v', '4M', '-top', '0'],
      ],
      [
        'mpeg4.avi',
        'tinterlace=interleave_top,setfield=tff',
        ['-c:v', 'mpeg4', '-flags', '+ilme+ildct', '-b:v', '4M', '-top', '1'],
      ],
    ])('%s are deinterlaced without combing', async (name, interlace, codec) => {
      const path = await clips.make(name, ['-f', 'lavfi', '-i', `${moving},format=yuv420p,${interlace}`, ...codec]);
      const manifest = await load(path);
      const rows = await Promise.all(
        [60, 61, 62, 63].map((y) => fixture.decode(manifest, 1, { x: 64.5 / 128, y: (y + 0.5) / 128 })),
      );
      const combs = rows[0]?.pixels.filter((_, frame) => {
        const [a = 0, b = 0, c = 0, d = 0] = rows.map(({ pixels }) => pixels[frame]?.y ?? 0);
        return Math.abs(a + c - b - d) > 120;
      });
      expect(combs).toEqual([]);
      expect(rows[0]?.pixels.some(({ y }) => y > 150)).toBe(true);
    });
  });

  it.each([
    ['161x121', 1, 160, 120],
    ['90x161', 1, 90, 160],
    ['160x120', 2, 320, 120],
    ['180x144', 64 / 45, 256, 144],
    ['352x288', 12 / 11, 384, 288],
  ])('the size of %s video with a pixel aspect ratio of %f is right and even', async (size, aspect, width, height) => {
    const vf = `setsar=${Math.round(aspect * 990)}/990,format=yuv444p`;
    const name = `${size}-${aspect.toFixed(2)}.mkv`;
    const path = await clips.make(name, [
      '-f',
      'lavfi',
      '-i',
      `testsrc=s=${size}:r=10:d=0.5`,
      '-vf',
      vf,
      '-c:v',
      'libx264',
    ]);
    expect((await load(path)).renditions[0]).toMatchObject({ width, height });
  });

  it('the size of rotated video with non-square pixels is right', async () => {
    const source = ['-f', 'lavfi', '-i', 'testsrc=s=180x144:r=10:d=0.5', '-vf', 'setsar=64/45,format=yuv420p'];
    const lying = await clips.make('lying.mp4', [...source, '-c:v', 'libx264']);
    const turned = await clips.make('turned.mov', ['-i', lying, '-c', 'copy', '-metadata:s:v:0', 'rotate=90']);
    expect((await load(turned)).renditions[0]).toMatchObject({ width: 144, height: 256 });
  });
});
