import type { HumanCastElement } from '@humancast/element';
import type { SessionSegment } from '@humancast/protocol';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Credentials, listSegments, TYPED_NAME } from '../api.js';
import { useConversation } from '../use-conversation.js';
import { useSaying } from '../use-saying.js';
import { mayControl, type Visit } from '../visit.js';
import { isConnected, troubleOf, troubleOfGuest } from '../words.js';
import { ActivityCard } from './activity-card.js';
import { Brand } from './brand.js';
import { nameOf } from './chooser.js';
import { Figures } from './figures.js';
import { MicrophoneBar } from './microphone-bar.js';
import { Player } from './player.js';
import { SayBar } from './say-bar.js';
import { SegmentsCard, titleOf } from './segments-card.js';
import { TroubleCard } from './trouble-card.js';

const RELOAD_SEGMENTS_MS = 5000;

/** One conversation: the player, and beside it the segments, the activity and the quality figures. */
export function ConversationPage({ visit }: { visit: Exclude<Visit, { kind: 'choose' }> }) {
  const cast = useRef<HumanCastElement>(null);
  const [conversation, controls] = useConversation(visit, cast);
  const { state, credentials, activity, stats, skewHistory, failure, preparing } = conversation;
  const saying = useSaying(activity);
  const segments = useSegments(credentials, isConnected(state));
  const [sheetOpen, setSheetOpen] = useState(false);
  const [isHold, setHold] = useState(false);
  const names = useMemo(() => new Map(segments?.map((segment) => [segment.id, titleOf(segment)])), [segments]);
  const wordsFor = visit.kind === 'avatar' ? troubleOf : troubleOfGuest;
  const over = state === 'failed' || state === 'ended';
  const playing = isConnected(state);
  const segmentName = (id: string) => saying.texts.get(id) ?? names.get(id) ?? 'A clip';
  const control = credentials && mayControl(credentials.token) ? credentials : undefined;
  const connection = playing ? cast.current?.connection : undefined;
  const speaker = connection?.canSpeak ? connection : undefined;
  const title = visit.kind === 'avatar' ? nameOf({ id: visit.avatar, name: visit.avatar }) : 'Live conversation';

  useEffect(() => {
    document.title = `${title} · humancast`;
  }, [title]);

  return (
    <div class="conversation">
      <header class="bar">
        <Brand />
        <h1>{title}</h1>
      </header>
      <main class="player-area">
        <Player cast={cast} name={title} mic={isHold ? 'hold' : ''} preparing={preparing}>
          {failure && over && (
            <TroubleCard trouble={wordsFor(failure.code, failure.message)} onRetry={controls.retry} />
          )}
        </Player>
      </main>
      {speaker && <MicrophoneBar session={speaker} isHold={isHold} onHold={setHold} />}
      {control && conversation.canSay && !over && (
        <SayBar
          name={title}
          playing={playing}
          speaking={activity.speaking?.segment}
          thinking={saying.thinking}
          problem={saying.problem}
          onInterrupt={() => cast.current?.interrupt()}
          onSay={(text) => {
            // The Enter key is a user gesture, which browsers require before they play audio.
            void cast.current?.unmute();
            void saying.submit(control, text);
          }}
        />
      )}
      <aside class="side" data-open={sheetOpen}>
        <button
          type="button"
          class="sheet-handle"
          aria-expanded={sheetOpen}
          aria-label={sheetOpen ? 'Show less' : 'Show more'}
          onClick={() => setSheetOpen(!sheetOpen)}
        />
        <div class="side-cards">
          {control && (
            <SegmentsCard
              segments={segments?.filter(({ name }) => name !== TYPED_NAME)}
              credentials={control}
              playing={playing}
              onQueued={controls.refresh}
            />
          )}
          <ActivityCard activity={activity} playing={!over} nameOf={segmentName} />
          <Figures stats={stats} skewHistory={skewHistory} session={credentials?.id} />
        </div>
      </aside>
    </div>
  );
}

/** @returns the segments the avatar can speak, refreshed every 5 s. */
function useSegments(credentials: Credentials | undefined, playing: boolean): readonly SessionSegment[] | undefined {
  const [segments, setSegments] = useState<readonly SessionSegment[] | undefined>(undefined);
  useEffect(() => {
    if (!credentials || !playing) return;
    let current = true;
    const load = async () => {
      try {
        const loaded = await listSegments(credentials);
        if (current) setSegments(loaded);
      } catch {
        // Keeps the previous list until the next poll.
      }
    };
    void load();
    const timer = setInterval(() => document.visibilityState === 'visible' && void load(), RELOAD_SEGMENTS_MS);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [credentials, playing]);
  return segments;
}
