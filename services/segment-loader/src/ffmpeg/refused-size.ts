export interface RefusedSize {
  readonly width: number;
  readonly height: number;
}

/** The size of the picture that FFmpeg would not allocate because of `-max_pixels`, from what it printed. */
export function refusedSize(text: string): RefusedSize | undefined {
  const match = /Picture size (\d+)x(\d+) exceeds specified max pixel count/.exec(text);
  return match ? { width: Number(match[1]), height: Number(match[2]) } : undefined;
}
