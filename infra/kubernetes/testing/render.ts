import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

/** A Kubernetes object. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: objects of all kinds; the schemas check them.
  [field: string]: any;
}

interface Generator {
  name: string;
  behavior?: 'merge';
  literals?: string[];
  files?: string[];
  options?: { labels?: Record<string, string>; annotations?: Record<string, string> };
}

interface Kustomization {
  apiVersion: string;
  kind: string;
  namespace?: string;
  resources?: string[];
  components?: string[];
  configMapGenerator?: Generator[];
  patches?: { target: { kind: string; name: string }; patch: string }[];
  images?: { name: string; newName: string; newTag: string }[];
}

const KNOWN = [
  'apiVersion',
  'kind',
  'namespace',
  'resources',
  'components',
  'configMapGenerator',
  'patches',
  'images',
] as const;

/**
 * Renders a folder like `kubectl kustomize`, without hashes in names of generated objects. Implements the parts of kustomize
 * that are used here, so that the checks need no kubectl; if kubectl is installed, its output is compared.
 * @throws Error for unsupported parts.
 */
export function render(folder: string, objects: Manifest[] = []): Manifest[] {
  const kustomization = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')) as Kustomization;
  const unknown = Object.keys(kustomization).filter((key) => !(KNOWN as readonly string[]).includes(key));
  if (unknown.length > 0) throw new Error(`${folder}: kustomization has ${unknown.join(', ')}`);
  for (const path of kustomization.resources ?? []) {
    const full = join(folder, path);
    if (statSync(full).isDirectory()) render(full, objects);
    else objects.push(...readObjects(full));
  }
  for (const path of kustomization.components ?? []) render(join(folder, path), objects);
  for (const generator of kustomization.configMapGenerator ?? []) generate(folder, generator, objects);
  for (const { target, patch } of kustomization.patches ?? []) {
    applyPatch(find(objects, target.kind, target.name), parse(patch, { version: '1.1' }) as Operation[]);
  }
  for (const object of objects) adapt(object, kustomization);
  return objects;
}

function adapt(object: Manifest, { namespace, images }: Kustomization): void {
  if (namespace && object.kind !== 'Namespace') object.metadata.namespace = namespace;
  for (const container of containersOf(object)) {
    const image = images?.find(({ name }) => name === container.image);
    if (image) container.image = `${image.newName}:${image.newTag}`;
  }
}

export function find(objects: readonly Manifest[], kind: string, name: string): Manifest {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (!found) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

// biome-ignore lint/suspicious/noExplicitAny: as in Manifest.
export function containersOf(object: Manifest): any[] {
  return object['spec']?.template?.spec?.containers ?? [];
}

/** Parses YAML 1.1 as Kubernetes does: 0440 is octal. */
function readObjects(path: string): Manifest[] {
  return parseAllDocuments(readFileSync(path, 'utf8'), { version: '1.1' }).map((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors.join('; ')}`);
    return document.toJS() as Manifest;
  });
}

function generate(folder: string, { name, behavior, literals, files, options }: Generator, objects: Manifest[]): void {
  const data = {
    ...Object.fromEntries((literals ?? []).map((line) => split(line, '='))),
    ...Object.fromEntries((files ?? []).map((path) => [basename(path), readFileSync(join(folder, path), 'utf8')])),
  };
  if (behavior === 'merge') Object.assign(find(objects, 'ConfigMap', name)['data'], data);
  else objects.push({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...options }, data });
}

function split(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + 1)];
}

interface Operation {
  op: string;
  path: string;
  value?: unknown;
}

/** Applies `add`, `replace` and `remove` of RFC 6902. */
function applyPatch(object: Manifest, operations: readonly Operation[]): void {
  for (const { op, path, value } of operations) {
    const steps = path
      .slice(1)
      .split('/')
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = steps.pop() ?? '';
    // biome-ignore lint/suspicious/noExplicitAny: as in Manifest.
    const parent = steps.reduce<any>((at, step) => at[step], object);
    if (op !== 'add' && !(last in parent)) throw new Error(`${object.metadata.name}: nothing at ${path}`);
    if (op === 'remove') {
      if (Array.isArray(parent)) parent.splice(Number(last), 1);
      else delete parent[last];
    } else if (op === 'replace' || !Array.isArray(parent)) parent[last] = value;
    else parent.splice(last === '-' ? parent.length : Number(last), 0, value);
  }
}
