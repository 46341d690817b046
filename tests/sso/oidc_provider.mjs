// A provider of npm's oidc-provider: node oidc_provider.mjs PORT; prints its issuer. The account is the name that is typed.
// With CONFORM=1, which is its default, claims are in userinfo only.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const server = createServer();
server.listen(Number(process.argv[2]), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'muster',
      client_secret: process.env.CLIENT_SECRET,
      redirect_uris: [process.env.REDIRECT_URI],
      post_logout_redirect_uris: [process.env.POST_LOGOUT_REDIRECT_URI],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    }],
    pkce: { required: () => true },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'given_name', 'family_name'] },
    conformIdTokenClaims: process.env.CONFORM === '1',
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    findAccount: async (_, sub) => ({
      accountId: sub,
      claims: async () => ({
        sub, email: sub, email_verified: !sub.startsWith('unverified'), name: 'Ada Lovelace', given_name: 'Ada', family_name: 'Lovelace',
      }),
    }),
    cookies: { keys: ['test-only'] },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
