import { z } from 'zod';

/** Ids chosen by users (avatars). They appear in paths, keys and URLs, hence the restricted alphabet. */
export const slugSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be 1–64 of a–z, 0–9, "-" and "_", starting with a letter or digit');

/** Generated ids: a short prefix for the kind, and 96 random bits. */
export const idSchema = z.string().regex(/^[a-z]{2,4}_[A-Za-z0-9_-]{8,40}$/, 'is not an id that humancast has made');
