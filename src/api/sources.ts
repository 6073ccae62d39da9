/** Sources, their write keys and their schema controls, in the HTTP API. A change has reached the data plane when it is answered. */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { AppError } from '../base/errors.ts'
import { sourceKinds, type SourceView, type Store } from '../store/index.ts'
import { answerJson, ownPrefix, readJson, type Route } from './route.ts'

export interface SourcesParts {
  store: Store
  /** Publishes the snapshot and resolves when the data plane works with it. */
  publish(): Promise<void>
}

const slug = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'is up to 63 lower-case letters, digits, "-" and "_"')
const name = z.string().min(1).max(255)
const newSource = z.strictObject({ slug, type: z.string().default('http-api'), name: name.optional() })
const sourceChange = z.strictObject({
  name: name.optional(),
  enabled: z.boolean().optional(),
  strict: z.boolean().optional(),
  ip: z.enum(['keep', 'mask', 'drop']).optional(),
  labels: z.record(z.string().min(1), z.string()).optional(),
})
const toggles = z.record(z.string().min(1).max(1024), z.boolean()).optional()
const schemaChange = z.strictObject({
  events: toggles,
  traits: toggles,
  groupTraits: toggles,
  forwardBlockedEventsTo: z.string().nullable().optional(),
})
const revocation = z.strictObject({ token: z.string().min(1) })

export function createSourceRoutes({ store, publish }: SourcesParts): Route[] {
  const route = (
    method: Route['method'],
    path: string,
    run: (names: string[], body: () => Promise<unknown>) => Promise<{ status?: number; answer: unknown }>,
  ): Route => ({
    method,
    path: new RegExp(`^${ownPrefix}/${path}$`),
    access: 'member',
    async run(request, response, match) {
      const names = match.slice(1).map((part) => decodeURIComponent(part))
      const { status = 200, answer } = await run(names, () => readJson(request))
      if (method !== 'GET') await publish()
      answerJson(response, status, answer)
    },
  })
  return [
    route('GET', 'source-kinds', async () => ({ answer: { kinds: sourceKinds } })),
    route('GET', 'sources', async () => ({ answer: { sources: (await store.listSources()).map(describe) } })),
    route('POST', 'sources', async (_, body) => ({
      status: 201,
      answer: describe(await store.createSource(withoutUndefined(read(newSource, await body())))),
    })),
    route('GET', 'sources/([^/]+)', async ([source = '']) => ({ answer: describe(await store.readSource(source)) })),
    route('PATCH', 'sources/([^/]+)', async ([source = ''], body) => {
      const { enabled, strict, ...rest } = read(sourceChange, await body())
      const change = withoutUndefined({ ...rest, isEnabled: enabled, isStrict: strict })
      return { answer: describe(await store.changeSource(source, change)) }
    }),
    route('DELETE', 'sources/([^/]+)', async ([source = '']) => {
      await store.deleteSource(source)
      return { answer: { success: true } }
    }),
    route('POST', 'sources/([^/]+)/write-keys', async ([source = '']) => ({
      status: 201,
      answer: { writeKey: await store.addWriteKey(source) },
    })),
    route('DELETE', 'sources/([^/]+)/write-keys/([^/]+)', async ([source = '', writeKey = '']) => {
      await store.removeWriteKey(source, writeKey)
      return { answer: { success: true } }
    }),
    route('GET', 'sources/([^/]+)/schema-controls', async ([source = '']) => ({
      answer: (await store.readSource(source)).schema,
    })),
    route('PATCH', 'sources/([^/]+)/schema-controls', async ([source = ''], body) => ({
      answer: await store.changeSchema(source, withoutUndefined(read(schemaChange, await body()))),
    })),
    route('GET', 'oauth-apps', async () => {
      const { oauthApps = [] } = await store.snapshot()
      return {
        answer: {
          apps: oauthApps.map(({ id, name, publicKeys, tokenLifetimeSeconds, scopes }) => ({
            id,
            name,
            keyIds: Object.keys(publicKeys),
            tokenLifetimeSeconds,
            scopes,
          })),
        },
      }
    }),
    route('POST', 'oauth-apps/([^/]+)/revoke-token', async ([app = ''], body) => {
      const { token } = read(revocation, await body())
      await store.revokeToken(app, createHash('sha256').update(token).digest('hex'))
      return { answer: { success: true } }
    }),
  ]
}

/** In the shape of contract/sources.md, "Source object", with what is ours beside it. */
export function describe(source: SourceView): Record<string, unknown> {
  const { type, labels, isEnabled, isStrict, isManagedByFile, isSchemaManagedByFile, ...rest } = source
  const kind = sourceKinds.find((each) => each.slug === type)
  return {
    ...rest,
    enabled: isEnabled,
    strict: isStrict,
    metadata: { slug: type, name: kind?.name ?? type, categories: kind === undefined ? [] : [kind.category] },
    labels: Object.entries(labels).map(([key, value]) => ({ key, value })),
    managedByFile: isManagedByFile,
    schemaManagedByFile: isSchemaManagedByFile,
  }
}

function read<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new AppError('bad_request', 400, `${issue?.path.join('.') || 'The body'}: ${issue?.message ?? 'not valid'}`)
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** zod gives `T | undefined` for what may be absent; here absent is absent. */
function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as Defined<T>
}
