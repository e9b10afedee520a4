export interface RejectedSize {
  readonly width: number;
  readonly height: number;
}

/** Parses FFmpeg's output. @returns The frame size that it rejected because of `-max_pixels`. */
export function rejectedSize(text: string): RejectedSize | undefined {
  const match = /Picture size (\d+)x(\d+) exceeds specified max pixel count/.exec(text);
  return match ? { width: Number(match[1]), height: Number(match[2]) } : undefined;
}
