import { loadKeyRing, type KeyRing } from '../base/secrets.ts'
import type { Paths } from './paths.ts'

/** The keys of this installation, from the environment or from `secret.key`, which the control process makes on the first start. */
export function openSecrets(paths: Paths, options: { mayCreate: boolean }): KeyRing {
  return loadKeyRing({ environment: process.env, dataDirectory: paths.data, ...options })
}
