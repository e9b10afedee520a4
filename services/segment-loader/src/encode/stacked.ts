/** @returns Filters that apply others to each half by itself, so that neither shows at the edge of the other. */
export function eachHalf(label: string, filters: string): string {
  const half = (pad: string, top: string) => `[${label}${pad}]crop=iw:ih/2:0:${top},${filters}[${label}${pad}h]`;
  const halves = `${half('c', '0')};${half('a', 'ih/2')}`;
  return `split[${label}c][${label}a];${halves};[${label}ch][${label}ah]vstack,setsar=1`;
}

/**
 * @returns Filters from premultiplied video to its color above its matte, which is gray in the range of luma. Both halves
 * have an even height, so that no chroma sample belongs to both.
 */
export function stacked(label: string): string {
  const color = `[${label}c]format=yuv420p[${label}d]`;
  const matte = `[${label}a]alphaextract,scale=in_range=full:out_range=tv,format=yuv420p[${label}b]`;
  return `format=yuva420p,split[${label}c][${label}a];${color};${matte};[${label}d][${label}b]vstack,setsar=1`;
}
