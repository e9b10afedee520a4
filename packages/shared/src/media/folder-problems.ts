import { type FolderProblem, folderProblemSchema } from '@humancast/protocol';
import { z } from 'zod';

/** What is published of one avatar's folder. */
export const folderProblemsSchema = z.object({
  /** The number of all problems, which may be more than are listed. */
  count: z.int().nonnegative(),
  problems: z.array(folderProblemSchema),
});
export type FolderProblems = z.infer<typeof folderProblemsSchema>;

/** Problems published for one avatar; a folder of thousands of unusable files is one mistake. */
const PUBLISHED = 50;
/** Characters of a path or a message; file systems allow names of 255. */
const TEXT_LENGTH = 600;

/** @returns the problems, shortened to what is published. */
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
