import { join } from 'node:path'
import { createSecretBox, loadSecretKey, type SecretBox } from '../base/secrets.ts'
import type { Paths } from './paths.ts'

/** The key of this installation, from the environment or from its file, which the first process to ask makes (the control process
 *  starts before all others). A backup leaves `secret.key` out: a copy of the data alone gives no secret away. */
export async function openSecrets(paths: Paths): Promise<SecretBox> {
  return createSecretBox(await loadSecretKey({ environment: process.env, path: join(paths.data, 'secret.key') }))
}
