/**
 * Accepted container formats. Excluded on purpose: all that open further files or addresses (hls, dash, concat, image
 * sequences, sdp, vobsub …) and all that render arbitrary text as video (tty).
 */
const CONTAINERS = [
  'mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf,nut,ivf,yuv4mpegpipe',
  'gif,apng,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe',
  'wav,mp3,aac,flac,aiff,amr,caf,w64',
].join(',');

/**
 * @returns The options before every `-i`, for ffprobe and ffmpeg. A decoder rejects frames above `maxPixels` before it
 * allocates memory.
 */
export function inputOptions(maxPixels: number): string[] {
  return ['-protocol_whitelist', 'file', '-format_whitelist', CONTAINERS, '-max_pixels', String(maxPixels)];
}
