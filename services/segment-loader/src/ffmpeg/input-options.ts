/**
 * What a file may be, by its content. Left out on purpose: everything that opens further files or addresses (hls, dash,
 * concat, image sequences, sdp, vobsub …) and everything that makes pictures out of any text (tty).
 */
const CONTAINERS = [
  'mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf,nut,ivf,yuv4mpegpipe',
  'gif,apng,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe',
  'wav,mp3,aac,flac,aiff,amr,caf,w64',
].join(',');

/** Options before every `-i`, of ffprobe and ffmpeg alike. Above `maxPixels` a decoder refuses before it allocates. */
export function inputOptions(maxPixels: number): string[] {
  return ['-protocol_whitelist', 'file', '-format_whitelist', CONTAINERS, '-max_pixels', String(maxPixels)];
}
