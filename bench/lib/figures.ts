import { writeFileSync } from 'node:fs';
import { type Machine, machineLines } from './machine.ts';

/** A measured value with its aim. */
export interface Figure {
  /** Figures of a group are printed together. */
  readonly group: string;
  readonly name: string;
  /** Without an aim, the value is not judged. */
  readonly aim?: { readonly atMost: number } | { readonly atLeast: number } | { readonly within: number };
  readonly value: number;
  readonly unit: string;
  /** Digits after the decimal point. */
  readonly digits?: number;
  readonly note?: string;
}

export function judge({ aim, value }: Figure): boolean | undefined {
  if (!aim) return undefined;
  if ('atMost' in aim) return value <= aim.atMost;
  return 'atLeast' in aim ? value >= aim.atLeast : Math.abs(value) <= aim.within;
}

export interface Report {
  readonly bench: string;
  readonly machine: Machine;
  readonly figures: readonly Figure[];
  /** The raw measurements. */
  readonly raw?: unknown;
  /** File to write the report to. */
  readonly json?: string | undefined;
}

/** Prints a benchmark's figures, and sets exit code 1 if an aim was missed. */
export function reportFigures({ bench, machine, figures, raw, json }: Report): void {
  for (const line of machineLines(machine)) console.log(line);
  printFigures(figures);
  if (json !== undefined) {
    const judged = figures.map((figure) => ({ ...figure, ok: judge(figure) }));
    const result = { bench, at: new Date().toISOString(), machine, figures: judged, raw };
    writeFileSync(json, `${JSON.stringify(result, null, 1)}\n`);
  }
  if (figures.some((figure) => judge(figure) === false)) process.exitCode = 1;
}

export function printFigures(figures: readonly Figure[]): void {
  const header = ['', 'aim', 'measured', ''];
  const rows = figures.map((figure) => ({ figure, cells: cellsOf(figure) }));
  const widths = widthsOf([header, ...rows.map(({ cells }) => cells)]);
  console.log(aligned(header, widths));
  let group: string | undefined;
  for (const { figure, cells } of rows) {
    if (figure.group !== group) console.log(`\n${figure.group}`);
    group = figure.group;
    console.log(`${aligned(cells, widths)}   ${figure.note ?? ''}`.trimEnd());
  }
}

/** Prints the same figures of several candidates side by side. */
export function printComparison(
  title: string,
  candidates: readonly { name: string; figures: readonly Figure[] }[],
): void {
  const header = ['', ...candidates.map(({ name }) => name)];
  const rows = (candidates[0]?.figures ?? []).map(({ name }) => [
    `  ${name}`,
    ...candidates.map(({ figures }) => {
      const figure = figures.find((other) => other.name === name);
      return figure ? valueText(figure) : '';
    }),
  ]);
  console.log(`\n${title}`);
  const widths = widthsOf([header, ...rows]);
  for (const row of [header, ...rows]) console.log(aligned(row, widths));
}

function widthsOf(rows: readonly (readonly string[])[]): number[] {
  const columns = Math.max(...rows.map((row) => row.length));
  return Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
}

function aligned(cells: readonly string[], widths: readonly number[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('   ');
}

function valueText({ value, unit, digits = 1 }: Figure): string {
  return `${Number.isNaN(value) ? 'none' : value.toFixed(digits)} ${unit}`.trimEnd();
}

function cellsOf(figure: Figure): string[] {
  const ok = judge(figure);
  const verdict = ok === undefined ? '' : ok ? 'ok' : 'MISSED';
  return [`  ${figure.name}`, aimText(figure), valueText(figure), verdict];
}

function aimText({ aim, unit }: Figure): string {
  if (!aim) return '';
  if ('atMost' in aim) return `≤ ${aim.atMost} ${unit}`.trimEnd();
  return 'atLeast' in aim ? `≥ ${aim.atLeast} ${unit}`.trimEnd() : `± ${aim.within} ${unit}`.trimEnd();
}
