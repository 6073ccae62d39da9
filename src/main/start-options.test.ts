import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readStartOptions } from './start-options.ts'

test('a public address is taken as it is, with a path or without', () => {
  for (const publicUrl of ['https://events.example.org', 'http://10.0.0.1:4000', 'https://shop.example.org/collect'])
    assert.equal(readStartOptions({ TRIBUTARY_PUBLIC_URL: publicUrl }).publicUrl, publicUrl)
  assert.equal(readStartOptions({ TRIBUTARY_PUBLIC_URL: '' }).publicUrl, undefined)
})

test('a public address that clients could not use stops the start', () => {
  for (const publicUrl of [
    'events.example.org',
    'ftp://example.org',
    'https://a@example.org',
    'https://example.org/?a=1',
  ])
    assert.throws(() => readStartOptions({ TRIBUTARY_PUBLIC_URL: publicUrl }), { code: 'bad_option' }, publicUrl)
})

test('an engine that this version does not have stops the start', () => {
  for (const name of ['TRIBUTARY_KAFKA_BROKERS', 'TRIBUTARY_DATABASE_URL']) {
    assert.throws(() => readStartOptions({ [name]: 'somewhere' }), { code: 'bad_option', message: new RegExp(name) })
    readStartOptions({ [name]: '' })
  }
})
