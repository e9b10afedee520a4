import type { AvatarOverviewList } from '@humancast/protocol';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, listAvatars } from '../api.js';
import { troubleOf } from '../words.js';
import { Brand } from './brand.js';
import { TroubleCard } from './trouble-card.js';

const RELOAD_MS = 5000;

/** `/`: lists the avatars, and refreshes by itself. */
export function Chooser() {
  const [avatars, setAvatars] = useState<AvatarOverviewList['avatars'] | undefined>(undefined);
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const load = async () => {
    try {
      setAvatars(await listAvatars());
      setError(undefined);
    } catch (thrown) {
      setError(thrown instanceof ApiError ? thrown : new ApiError('internal', ''));
    }
  };
  useEffect(() => {
    void load();
    const timer = setInterval(() => document.visibilityState === 'visible' && void load(), RELOAD_MS);
    return () => clearInterval(timer);
  }, []);

  return (
    <div class="chooser">
      <header class="bar">
        <Brand />
      </header>
      <main class="chooser-main">
        <h1>Who would you like to meet?</h1>
        <p class="hint">A conversation of your own starts as soon as you choose.</p>
        {error && !avatars ? (
          <TroubleCard trouble={troubleOf(error.code, error.message)} onRetry={load} />
        ) : avatars?.length === 0 ? (
          <p class="hint">
            No avatar yet. Put an idle clip into <code>media/&lt;avatar&gt;/idle/</code>, and it appears here.
          </p>
        ) : (
          <ul class="avatars" aria-busy={avatars === undefined}>
            {avatars?.map((avatar) => (
              <li key={avatar.id}>
                <a class="avatar-card" href={`?avatar=${encodeURIComponent(avatar.id)}`}>
                  <span class="avatar-initial" aria-hidden="true">
                    {nameOf(avatar).slice(0, 1).toUpperCase()}
                  </span>
                  <span class="avatar-name">{nameOf(avatar)}</span>
                  <span class="avatar-go" aria-hidden="true">
                    →
                  </span>
                </a>
              </li>
            ))}
          </ul>
        )}
      </main>
    </div>
  );
}

export function nameOf({ id, name }: AvatarOverviewList['avatars'][number]): string {
  if (name !== id) return name;
  return id.replaceAll(/[-_]+/g, ' ').replace(/^./, (first) => first.toUpperCase());
}
