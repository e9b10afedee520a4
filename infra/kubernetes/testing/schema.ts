import type { Manifest } from './render.js';

interface Model {
  validate(): void;
}

/** Module folders of each group's schemas, one module per kind. */
const PACKAGES: Readonly<Record<string, string>> = {
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
};

/** Finds errors in an object by the schemas of Kubernetes, KEDA and the Prometheus operator, including unknown fields. */
export async function faultsOf(object: Manifest): Promise<string[]> {
  const { apiVersion, kind } = object;
  const group = apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '';
  const library = PACKAGES[group] ?? 'kubernetes-models';
  const module = (await import(`${library}/${apiVersion}/${kind}`)) as Record<string, new (data: unknown) => Model>;
  const Kind = module[kind];
  if (!Kind) return [`no schema for ${apiVersion} ${kind}`];
  // The model copies its input, so the model is observed.
  const watched = watch(new Kind(object));
  try {
    watched.value.validate();
  } catch (error) {
    return [(error as Error).message];
  }
  return watched.unread();
}

/**
 * Finds unknown fields, which the schemas allow and Kubernetes silently drops: a validator reads every field that it knows,
 * so fields that it did not read are unknown.
 */
function watch<T extends object>(root: T): { value: T; unread(): string[] } {
  const seen = new Map<object, Set<string>>();
  const proxies = new Map<object, object>();
  const proxyOf = (target: object): object => {
    const known = proxies.get(target);
    if (known) return known;
    const read = new Set<string>();
    seen.set(target, read);
    const proxy = new Proxy(target, {
      get(object, key, receiver) {
        if (typeof key === 'string') read.add(key);
        const value: unknown = Reflect.get(object, key, receiver);
        return typeof value === 'object' && value !== null ? proxyOf(value) : value;
      },
    });
    proxies.set(target, proxy);
    return proxy;
  };
  const unread = (target: object, path: string): string[] =>
    Object.entries(target).flatMap(([key, value]) => {
      const at = `${path}/${key}`;
      if (!seen.get(target)?.has(key)) return [`${at} is no field of it`];
      return typeof value === 'object' && value !== null && seen.has(value) ? unread(value, at) : [];
    });
  return { value: proxyOf(root) as T, unread: () => unread(root, '') };
}
