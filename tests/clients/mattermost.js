// npm's @mattermost/client, unmodified: the client of the product's own web application.

import assert from 'node:assert/strict';
import mattermost from '@mattermost/client';

const BOB = 'bobbobbobbobbobbobbobbobb2';

function client(token) {
  const made = new mattermost.Client4();
  made.setUrl(process.env.SERVER);
  if (token) made.setToken(token);
  return made;
}

const refused = (status, work) => assert.rejects(work, (error) => error.status_code === status);

const bob = client();
await refused(401, bob.login('bob', 'wrong'));
const profile = await bob.login('bob', 'bob-password');
assert.equal(profile.id, BOB);

const later = Date.now() + 86_400_000;
const made = await bob.createUserAccessToken(BOB, 'web', later);
assert.equal(made.expires_at, later);
const web = client(made.token);
assert.equal((await web.getMe()).username, 'bob');

const { token: _, ...seen } = made;
assert.deepEqual(await bob.getUserAccessToken(made.id), seen);
assert.deepEqual(await bob.getUserAccessTokensForUser(BOB), [seen]);
await refused(403, bob.getUserAccessTokens());
const admin = client();
await admin.login('admin', 'admin-password');
assert.deepEqual(await admin.getUserAccessTokens(), [seen]);

assert.equal((await bob.disableUserAccessToken(made.id)).status, 'OK');
await refused(401, web.getMe());
assert.equal((await bob.enableUserAccessToken(made.id)).status, 'OK');
assert.equal((await web.getMe()).id, BOB);
assert.equal((await bob.revokeUserAccessToken(made.id)).status, 'OK');
await refused(401, web.getMe());
await refused(404, bob.getUserAccessToken(made.id));
