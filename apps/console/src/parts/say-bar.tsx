import { useEffect, useRef, useState } from 'preact/hooks';
import { SendIcon } from './icons.js';

/** Default text limit of the demo producer, characters. */
const LONGEST_TEXT = 500;

interface SayBarProps {
  name: string;
  playing: boolean;
  /** The current segment, if any. */
  speaking: string | undefined;
  thinking: boolean;
  problem: string | undefined;
  onInterrupt: () => void;
  onSay: (text: string) => void;
}

/** Speaks typed sentences. Typing interrupts current speech. */
export function SayBar({ name, playing, speaking, thinking, problem, onInterrupt, onSay }: SayBarProps) {
  const [text, setText] = useState('');
  const input = useRef<HTMLInputElement>(null);
  const interrupted = useRef<string | undefined>(undefined);
  const words = text.trim();

  useEffect(() => {
    // On a phone this would open the keyboard over the video.
    if (playing && matchMedia('(pointer: fine)').matches) input.current?.focus();
  }, [playing]);

  const type = (typed: string) => {
    setText(typed);
    if (speaking === undefined || speaking === interrupted.current || typed === '') return;
    interrupted.current = speaking;
    onInterrupt();
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (words === '' || !playing) return;
    onSay(words);
    setText('');
  };

  return (
    <form class="say" aria-label="Say" onSubmit={submit}>
      <div class="say-field" data-thinking={thinking}>
        <input
          ref={input}
          type="text"
          value={text}
          maxLength={LONGEST_TEXT}
          disabled={!playing}
          autocomplete="off"
          enterkeyhint="send"
          aria-label={`Text for ${name} to speak`}
          placeholder={thinking ? 'Thinking…' : 'Type a sentence to speak'}
          onInput={(event) => type(event.currentTarget.value)}
        />
        <button
          type="submit"
          class="button send"
          aria-label={thinking ? 'Thinking' : 'Send'}
          disabled={words === '' || !playing}
        >
          {thinking && words === '' ? <span class="spinner" /> : <SendIcon />}
        </button>
      </div>
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}
