import { type Avatar, type Composition, type LiveStart, MAIN_INPUT, type Rational } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';
import { layerFilters, rawTrack, stillGraph } from '../compose/composition-graph.js';
import {
  type CompositionPlan,
  type PlannedLayer,
  type ProbedInput,
  planComposition,
} from '../compose/composition-plan.js';
import type { EncodeSettings } from '../encode/encode-plan.js';
import { imageArguments } from '../encode/encoder-arguments.js';
import type { Size } from '../encode/video-size.js';
import { ToolProcess } from '../ffmpeg/tool-process.js';
import { layersOf, openLayers } from '../library/layer-files.js';
import type { MediaInfo, VideoTrack } from '../probe/media-info.js';
import { probe } from '../probe/probe.js';
import type { MergeSetup } from './encoder/wire.js';
import type { Backdrop } from './encoder-process.js';

/** Maximum number of cached backdrops, each of a few megabytes. */
const KEPT = 8;
const TIMEOUT_MS = 20_000;

/** The layers that a live push is merged with. */
export interface LiveMerge {
  readonly setup: MergeSetup;
  readonly backdrop: Backdrop;
}

export interface BackdropLimits {
  readonly maxSourcePixels: number;
  readonly ffmpegThreads: number;
}

/**
 * Draws what an avatar's composition shows below and above a live push. A push does not wait for moving inputs: their first
 * frame is used, drawn once into two images, and cached for the next push.
 */
export class Backdrops {
  readonly #root: string;
  readonly #limits: BackdropLimits;
  readonly #made = new Map<string, Promise<LiveMerge>>();

  /** @param root The media folder. */
  constructor(root: string, limits: BackdropLimits) {
    this.#root = root;
    this.#limits = limits;
  }

  /** @throws HumancastError `composition_input_missing`, those of `probe`, `encoder_failed`. */
  async of(
    { id, composition }: Avatar,
    settings: EncodeSettings,
    { width, height }: Pick<LiveStart, 'width' | 'height'>,
  ): Promise<LiveMerge | undefined> {
    if (!composition) return undefined;
    // The push alone determines the audio and the length.
    const visible: Composition = { ...composition, audio: [], lengthOf: MAIN_INPUT };
    const files = await layersOf(this.#root, id, visible);
    const identity = files.map(({ path, sizeBytes, modifiedMs }) => [path, sizeBytes, modifiedMs]);
    const key = JSON.stringify([id, visible, width, height, settings.renditions, settings.alpha, identity]);
    const made = this.#made.get(key) ?? this.#make(id, visible, settings, { width, height });
    this.#made.delete(key);
    this.#made.set(key, made);
    // A failed drawing is not cached, so the next push tries again.
    made.catch(() => this.#made.delete(key));
    const [oldest] = this.#made.keys();
    if (this.#made.size > KEPT && oldest !== undefined) this.#made.delete(oldest);
    return made;
  }

  async #make(avatar: string, visible: Composition, settings: EncodeSettings, main: Size): Promise<LiveMerge> {
    const { inputs, close } = await openLayers(this.#root, avatar, visible);
    try {
      const probed = new Map<string, ProbedInput>([[MAIN_INPUT, mainInput(main)]]);
      for (const [name, { video }] of inputs) {
        const info = await probe(video, this.#limits.maxSourcePixels, AbortSignal.timeout(TIMEOUT_MS));
        probed.set(name, { info, audio: undefined, videoDescriptor: video, audioDescriptor: video });
      }
      return await this.#draw(planComposition(visible, probed, settings, Number.POSITIVE_INFINITY));
    } finally {
      await close();
    }
  }

  async #draw(plan: CompositionPlan): Promise<LiveMerge> {
    const at = plan.layers.findIndex(({ input }) => plan.inputs[input]?.name === MAIN_INPUT);
    const main = plan.layers[at];
    if (!main) throw new TypeError(`a composition without the layer ${MAIN_INPUT}`);
    const others = (layer: PlannedLayer) => plan.inputs[layer.input]?.name !== MAIN_INPUT;
    const [below, above] = [plan.layers.slice(0, at).filter(others), plan.layers.slice(at + 1).filter(others)];
    const { width, height, matrix, isTransparent } = plan.canvas;
    const filters = layerFilters(main, matrix).join(',');
    const setup = { width, height, matrix, isTransparent, filters, x: main.x, y: main.y };
    const backdrop = {
      below: await this.#drawImage(plan, below, isTransparent ? 'nothing' : 'background'),
      above: above.length > 0 ? await this.#drawImage(plan, above, 'nothing') : undefined,
    };
    return { setup, backdrop };
  }

  async #drawImage(
    plan: CompositionPlan,
    layers: readonly PlannedLayer[],
    over: 'background' | 'nothing',
  ): Promise<Buffer> {
    const { maxSourcePixels: maxPixels, ffmpegThreads: threads } = this.#limits;
    const used = layers.map(({ input }) => plan.inputs[input]).filter((input) => input !== undefined);
    const renumbered = layers.map((layer, i) => ({ ...layer, input: i }));
    const graph = stillGraph(plan, renumbered, over);
    const args = imageArguments(used, graph, { maxPixels, threads });
    const tool = new ToolProcess(
      'ffmpeg',
      args,
      used.map(({ descriptor }) => descriptor),
      1,
    );
    const giveUp = setTimeout(() => tool.kill(), TIMEOUT_MS);
    try {
      tool.stdout.resume();
      tool.stderr.resume();
      const chunks: Buffer[] = [];
      for await (const chunk of tool.outputs[0] as AsyncIterable<Buffer>) chunks.push(chunk);
      const image = Buffer.concat(chunks);
      // I420, with an alpha plane over nothing.
      const { width, height } = plan.canvas;
      if (image.length !== width * height * (over === 'nothing' ? 2.5 : 1.5)) {
        throw new HumancastError('encoder_failed', 'ffmpeg could not draw the other layers of the composition');
      }
      return image;
    } finally {
      clearTimeout(giveUp);
      tool.kill();
    }
  }
}

/** Describes the push as a file of one second; its frames carry their own color matrix. */
function mainInput({ width, height }: Size): ProbedInput {
  const rate: Rational = { num: 25, den: 1 };
  const rates = { averageRate: rate, nominalRate: rate, endSeconds: 1 };
  const video: VideoTrack = { ...rawTrack({ width, height }), isRgb: true, colorMatrix: undefined, ...rates };
  const info: MediaInfo = {
    container: 'live',
    durationSeconds: 1,
    video,
    audio: undefined,
    undecodable: [],
    chapterSeconds: [],
  };
  return { info, audio: undefined, videoDescriptor: -1, audioDescriptor: -1 };
}
