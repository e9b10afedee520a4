/** Plots as SVG, drawn to a PNG by the browser that a benchmark has running anyway. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BrowserContext } from 'playwright-core';

/** Pixels of the PNG for each unit of the drawing. */
const SCALE = 2;
/** One per series. */
export const COLORS = ['#1668c7', '#d9730d', '#6e7781'] as const;
export const INK = { strong: '#1f2328', soft: '#59636e', line: '#d8dee4' } as const;
const FONT = "font-family=\"Inter, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif\"";

/** @returns an SVG document on a white ground. */
export function drawing({ width, height }: { width: number; height: number }, parts: readonly string[]): string {
  const size = `width="${SCALE * width}" height="${SCALE * height}" viewBox="0 0 ${width} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${FONT}>
<rect width="100%" height="100%" fill="#fff"/>${parts.join('\n')}</svg>`;
}

/** Writes a PNG of an SVG document, and the folders it lies in. */
export async function screenshot(context: BrowserContext, path: string, svg: string): Promise<void> {
  const page = await context.newPage();
  try {
    const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(svg) ?? [];
    await page.setViewportSize({ width: Number(width), height: Number(height) });
    await page.setContent(`<style>body{margin:0}svg{display:block}</style>${svg}`);
    await mkdir(dirname(path), { recursive: true });
    await page.locator('svg').screenshot({ path });
  } finally {
    await page.close();
  }
}

export function line(x1: number, y1: number, x2: number, y2: number, color: string): string {
  return `<line x1="${x1}" y1="${y1.toFixed(1)}" x2="${x2}" y2="${y2.toFixed(1)}" stroke="${color}"/>`;
}

interface TextStyle {
  readonly size?: number;
  readonly weight?: number;
  readonly soft?: boolean;
  readonly anchor?: 'start' | 'middle' | 'end';
}

export function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { size = 14, weight = 400, soft = false, anchor = 'start' } = style;
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const look = `font-size="${size}" font-weight="${weight}" text-anchor="${anchor}" fill="${soft ? INK.soft : INK.strong}"`;
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${look}>${escaped}</text>`;
}
