import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './run.mjs';
import { countTests, failedFiles, unstable } from './suites.mjs';

const file = (status: string, ...statuses: string[]) => ({
  name: join(ROOT, 'a.test.ts'),
  status,
  assertionResults: statuses.map((of, i) => ({ status: of, fullName: `test ${i}` })),
});

describe('countTests()', () => {
  it('adds the tests of all files', () => {
    const report = { testResults: [file('passed', 'passed', 'passed'), file('failed', 'passed', 'failed')] };
    expect(countTests(report, 1)).toEqual({ passed: 3, failed: 1, failures: ['failed: test 1'] });
  });

  it('counts a skipped test as failed', () => {
    expect(countTests({ testResults: [file('passed', 'passed', 'skipped', 'todo')] }, 0)).toEqual({
      passed: 1,
      failed: 2,
      failures: ['skipped: test 1', 'todo: test 2'],
    });
  });

  it('counts a file that could not be loaded as one failure', () => {
    expect(countTests({ testResults: [file('failed'), file('passed', 'passed')] }, 1)).toEqual({
      passed: 1,
      failed: 1,
      failures: ['failed as a whole: a.test.ts'],
    });
  });

  it('counts an error outside of any test, which only the exit code shows', () => {
    expect(countTests({ testResults: [file('passed', 'passed')] }, 1)).toEqual({
      passed: 1,
      failed: 1,
      failures: ['an error outside of any test'],
    });
  });
});

describe('failedFiles()', () => {
  it('names files with a failed test, and files that could not be loaded', () => {
    const testResults = [
      file('passed', 'passed'),
      { ...file('failed', 'passed', 'failed'), name: 'b' },
      { ...file('failed'), name: 'c' },
    ];
    expect(failedFiles({ testResults })).toEqual(['b', 'c']);
  });
});

describe('unstable()', () => {
  it('names tests that failed first and passed when run again, and no others', () => {
    const first = { testResults: [file('failed', 'passed', 'failed', 'failed')] };
    const second = { testResults: [file('failed', 'passed', 'passed', 'failed')] };
    expect(unstable(first, second)).toEqual(['test 1']);
  });
});
