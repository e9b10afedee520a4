import { type FileHandle, readdir } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { type Avatar, type Composition, inputsOf, MAIN_INPUT } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';
import type { InputFiles, LoadMedia } from '../loading/load-plan.js';
import { avatarFolderOf, avatarIdOf, subfolder } from './avatar-folder.js';
import { lookAt, mediaNames } from './folder-scan.js';
import { LAYERS_FOLDER, type SourceFile } from './media-file.js';
import { openSource } from './source-file.js';

/**
 * @returns The files in an avatar's `layers/` by input name: `layers/studio.png` and `layers/Studio.png` are both `studio`.
 */
async function findLayers(root: string, avatar: string): Promise<ReadonlyMap<string, SourceFile>> {
  const parent = await avatarFolderOf(root, avatar);
  const folder = subfolder(parent, await readdir(parent).catch(() => []), LAYERS_FOLDER);
  if (folder === undefined) return new Map();
  const names = (await mediaNames(folder)).sort();
  const files = await Promise.all(names.map((name) => lookAt(join(folder, name), name)));
  return new Map(
    files.flatMap((file) => (typeof file === 'object' ? [[avatarIdOf(parse(file.name).name), file] as const] : [])),
  );
}

/** @returns The current files of a composition's inputs other than the segment itself. */
export async function layersOf(root: string, avatar: string, composition: Composition): Promise<readonly SourceFile[]> {
  const found = await findLayers(root, avatar);
  return inputsOf(composition).flatMap((name) => found.get(name) ?? []);
}

export interface OpenMedia {
  readonly media: LoadMedia;
  /** Closes the files that were opened here; the segment's own files remain the caller's. */
  close(): Promise<void>;
}

/**
 * Combines a segment's own files with the avatar's composition.
 * @throws HumancastError `composition_input_missing`.
 */
export async function openMedia(root: string, { id, composition }: Avatar, main: InputFiles): Promise<OpenMedia> {
  if (!composition) return { media: main, close: () => Promise.resolve() };
  const { inputs, close } = await openLayers(root, id, composition);
  return { media: { composition, inputs: new Map([...inputs, [MAIN_INPUT, main]]) }, close };
}

export interface OpenLayers {
  /** Files of all inputs except the segment itself. */
  readonly inputs: ReadonlyMap<string, InputFiles>;
  close(): Promise<void>;
}

/** @throws HumancastError `composition_input_missing`. */
export async function openLayers(root: string, avatar: string, composition: Composition): Promise<OpenLayers> {
  const found = await findLayers(root, avatar);
  const opened: FileHandle[] = [];
  const close = async () => {
    await Promise.all(opened.map((handle) => handle.close()));
  };
  try {
    const inputs = new Map<string, InputFiles>();
    for (const name of inputsOf(composition).filter((input) => input !== MAIN_INPUT)) {
      const file = found.get(name);
      const handle = file && (await openSource(file));
      if (!handle) throw missingLayer(name);
      opened.push(handle);
      inputs.set(name, { video: handle.fd, audio: undefined });
    }
    return { inputs, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function missingLayer(name: string): HumancastError {
  return new HumancastError('composition_input_missing', {
    detail: `the avatar's composition has an input "${name}", and its folder has no file "${LAYERS_FOLDER}/${name}.…"`,
    extra: { missing: [name] },
  });
}
