import { describe, expect, it } from 'vitest';
import { IDLE_CLIPS } from './idle-clips.js';
import { IdlePoses } from './idle-pose.js';
import { type IdleOptions, idleMotion } from './motion.js';
import { NEUTRAL_POSE } from './pose.js';

const glancing = idleMotion(IDLE_CLIPS.get('glancing') as IdleOptions);

describe('IdlePoses.after()', () => {
  it('returns the pose of the frame that shows when speech begins', async () => {
    const poses = new IdlePoses(async () => 'glancing.mp4');
    const poseAt = await poses.after({ segment: 'seg_1', frame: 30, inMs: 20 }, 1000);
    // Requested at 1000, cut at 1020 at the earliest; drawn at 1400, and shown 100 ms later.
    expect(poseAt(1400)).toEqual(glancing.poseAt(1 + 0.48));
    expect(poseAt(1400).gaze.x).toBeLessThan(-0.5);
  });

  it('returns the neutral pose past the end of the clip, for unknown clips, and without a cut', async () => {
    const own = new IdlePoses(async () => 'glancing');
    const cut = { segment: 'seg_1', frame: 170, inMs: 20 };
    expect((await own.after(cut, 0))(5000)).toEqual(glancing.poseAt(glancing.durationSeconds));
    expect((await own.after(undefined, 0))(0)).toEqual(NEUTRAL_POSE);
    const others = new IdlePoses(async () => 'toString');
    expect((await others.after(cut, 0))(0)).toEqual(NEUTRAL_POSE);
    const failing = new IdlePoses(() => Promise.reject(new Error('not found')));
    expect((await failing.after(cut, 0))(0)).toEqual(NEUTRAL_POSE);
  });

  it('requests the name of a clip once', async () => {
    const asked: string[] = [];
    const poses = new IdlePoses(async (segment) => {
      asked.push(segment);
      return 'smiling';
    });
    const cut = { segment: 'seg_1', frame: 0, inMs: 0 };
    await poses.after(cut, 0);
    await poses.after(cut, 0);
    expect(asked).toEqual(['seg_1']);
  });
});
