import type { IceServer } from '@humancast/protocol';

/** @returns ICE servers as `Link` header values (RFC 9725 §4.6). */
export function iceLinks(servers: readonly IceServer[]): string[] {
  return servers.flatMap(({ urls, username, credential }) =>
    urls.map((url) => {
      const login =
        username === undefined || credential === undefined
          ? ''
          : `; username="${username}"; credential="${credential}"; credential-type="password"`;
      return `<${url}>; rel="ice-server"${login}`;
    }),
  );
}
