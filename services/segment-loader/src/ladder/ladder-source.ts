import type { Rational, Rendition } from '@humancast/protocol';
import { gopCount, HumancastError, type SegmentManifest, unpackGop } from '@humancast/shared';
import { ScratchFile } from '../upload/scratch-file.js';

/** @returns A file with a stored rendition, as ffmpeg reads it: VP8 in IVF, H.264 in Annex B. The caller closes it. */
export async function ladderSource(
  manifest: SegmentManifest,
  rendition: Rendition,
  readGop: (index: number) => Promise<Buffer | undefined>,
  scratchDir: string,
): Promise<ScratchFile> {
  const file = await ScratchFile.create(scratchDir);
  try {
    if (rendition.codec === 'vp8') await file.write(ivfHeader(rendition, manifest.fps));
    for (let index = 0, frame = 0; index < gopCount(manifest); index++) {
      const gop = await readGop(index);
      if (!gop) throw new HumancastError('segment_not_found', 'the media store lost a part of the segment');
      const frames = unpackGop(gop).map(({ data }) => data);
      await file.write(
        Buffer.concat(
          rendition.codec === 'vp8' ? frames.flatMap((data) => [ivfFrameHeader(data, frame++), data]) : frames,
        ),
      );
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function ivfHeader({ width, height }: Rendition, { num, den }: Rational): Buffer {
  const header = Buffer.alloc(32);
  header.write('DKIF', 0, 'latin1');
  header.writeUInt16LE(header.length, 6);
  header.write('VP80', 8, 'latin1');
  header.writeUInt16LE(width, 12);
  header.writeUInt16LE(height, 14);
  header.writeUInt32LE(num, 16);
  header.writeUInt32LE(den, 20);
  return header;
}

function ivfFrameHeader(data: Buffer, frame: number): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt32LE(data.length, 0);
  header.writeUInt32LE(frame, 4);
  return header;
}
