import { useEffect, useRef, useState } from 'preact/hooks';
import { SendIcon } from './icons.js';

/** As long as signaling's demo producer takes them, unless it is set otherwise. */
const LONGEST_TEXT = 500;

interface SayBarProps {
  name: string;
  playing: boolean;
  /** The segment that is being said, if any. */
  speaking: string | undefined;
  thinking: boolean;
  problem: string | undefined;
  onInterrupt: () => void;
  onSay: (text: string) => void;
}

/** Type a sentence and see it said. Whoever begins to type while the avatar speaks, interrupts it, as one does by speaking. */
export function SayBar({ name, playing, speaking, thinking, problem, onInterrupt, onSay }: SayBarProps) {
  const [text, setText] = useState('');
  const input = useRef<HTMLInputElement>(null);
  const interrupted = useRef<string | undefined>(undefined);
  const words = text.trim();

  useEffect(() => {
    // On a phone this would open the keyboard, over the picture.
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
          aria-label={`What ${name} should say`}
          placeholder={thinking ? 'Thinking…' : 'Type a sentence and see it said'}
          onInput={(event) => type(event.currentTarget.value)}
        />
        <button
          type="submit"
          class="button send"
          aria-label={thinking ? 'Thinking' : 'Say it'}
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
