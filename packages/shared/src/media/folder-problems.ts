import { type FolderProblem, folderProblemSchema } from '@humancast/protocol';
import { z } from 'zod';

/** The published problems of one avatar's folder. */
export const folderProblemsSchema = z.object({
  /** Number of all problems, which may exceed those listed. */
  count: z.int().nonnegative(),
  problems: z.array(folderProblemSchema),
});
export type FolderProblems = z.infer<typeof folderProblemsSchema>;

/** Maximum number of problems published per avatar; thousands of unusable files are one mistake. */
const PUBLISHED = 50;
/** Maximum length of a path or message; file systems allow names of 255 characters. */
const TEXT_LENGTH = 600;

/** @returns The problems, shortened for publication. */
export function publishedProblems(problems: readonly FolderProblem[]): FolderProblems {
  return {
    count: problems.length,
    problems: problems.slice(0, PUBLISHED).map(({ file, code, message }) => ({
      file: file.slice(0, TEXT_LENGTH),
      code,
      message: message.slice(0, TEXT_LENGTH),
    })),
  };
}
