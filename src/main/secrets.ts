import { loadKeyRing, type KeyRing } from '../base/secrets.ts'
import type { Paths } from './process-context.ts'

/** The keys of this installation; the control process made the file before the others start. */
export async function openSecrets(paths: Paths): Promise<KeyRing> {
  return loadKeyRing({ environment: process.env, dataDirectory: paths.data })
}
