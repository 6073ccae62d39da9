import { dirname } from 'node:path'
import { codeOf } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'

/** Replaces the file so that after a crash at any point either the old or the new content is there, whole. */
export async function writeWhole(fileSystem: FileSystem, path: string, buffers: readonly Uint8Array[]): Promise<void> {
  const temporary = `${path}.tmp`
  const handle = await fileSystem.open(temporary, 'create')
  try {
    await handle.truncate(0)
    await handle.write(buffers, 0)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await fileSystem.rename(temporary, path)
  await fileSystem.syncDirectory(dirname(path))
}

/** The content of a file, or undefined when it is absent. */
export async function readWhole(fileSystem: FileSystem, path: string): Promise<Buffer | undefined> {
  const handle = await openIfPresent(fileSystem, path, 'read')
  if (handle === undefined) return undefined
  try {
    const bytes = Buffer.alloc(await handle.size())
    return bytes.subarray(0, await handle.read(bytes, 0))
  } finally {
    await handle.close()
  }
}

export async function openIfPresent(fileSystem: FileSystem, path: string, mode: 'read' | 'write') {
  try {
    return await fileSystem.open(path, mode)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
