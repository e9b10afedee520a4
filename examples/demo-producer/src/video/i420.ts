/**
 * RGBA as planar 4:2:0, BT.601, limited range (ITU-R BT.601-7 §2.5; 8-bit fixed point): 2.7 times fewer bytes to send, and what
 * the encoder would have to make of it anyway.
 * @param rgba opaque, 4 bytes a pixel, rows without padding
 * @param width even, as is `height`
 */
export function i420Of(rgba: Uint8Array, width: number, height: number): Buffer {
  const pixels = width * height;
  const planes = Buffer.allocUnsafe((pixels * 3) / 2);
  let u = pixels;
  let v = pixels + pixels / 4;
  for (let row = 0; row < height; row += 2) {
    for (let column = 0; column < width; column += 2) {
      const top = row * width + column;
      let red = 0;
      let green = 0;
      let blue = 0;
      // Chroma is that of the mean of four pixels, which is where its sample is sited (MPEG-1, and what VP8 assumes).
      for (const pixel of [top, top + 1, top + width, top + width + 1]) {
        const r = rgba[4 * pixel] as number;
        const g = rgba[4 * pixel + 1] as number;
        const b = rgba[4 * pixel + 2] as number;
        planes[pixel] = (66 * r + 129 * g + 25 * b + 4224) >> 8;
        red += r;
        green += g;
        blue += b;
      }
      planes[u++] = (-38 * red - 74 * green + 112 * blue + 131_584) >> 10;
      planes[v++] = (112 * red - 94 * green - 18 * blue + 131_584) >> 10;
    }
  }
  return planes;
}
