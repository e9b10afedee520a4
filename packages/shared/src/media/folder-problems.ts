import { z } from 'zod';

/** An entry of the watched folder that cannot be used, as the loader publishes it. */
export const folderProblemSchema = z.object({
  /** Path within the avatar's folder; within the media folder, if it belongs to no avatar. */
  file: z.string(),
  /** An error code; one of another version may be unknown here. */
  code: z.string(),
  message: z.string(),
});
export type FolderProblem = z.infer<typeof folderProblemSchema>;

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
