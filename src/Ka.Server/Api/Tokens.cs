using System.Collections.Immutable;
using System.Security.Cryptography;
using Ka.Core.Documents;
using Ka.Core.Faults;
using Ka.Core.Rights;
using Ka.Protocol.Rest;
using Ka.Server.Hosting;
using Ka.Server.Identity;
using Ka.Store;

namespace Ka.Server.Api;

/// <summary><c>/api/v1/tokens</c> and <c>/api/v1/whoami</c>.</summary>
public static class Tokens
{
    const long LongestSeconds = 366L * 86_400;

    const int NoteLimit = 200, SecretLength = 40;

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/whoami", Who).Needs(Audience.Users, Right.View).Produces<WhoReply>();
        routes.MapGet("/api/v1/tokens", List).Needs(Audience.Users, Right.View).Produces<ImmutableArray<TokenReply>>();
        routes.MapPost("/api/v1/tokens", CreateAsync).Needs(Audience.Users, Right.View).Accepts<TokenBody>("application/json").Produces<TokenReply>(StatusCodes.Status201Created);
        routes.MapDelete("/api/v1/tokens/{id}", Revoke).Needs(Audience.Users, Right.View).Produces<TokenReply>();
    }

    static IResult Who(Requester who) => Results.Json(new WhoReply(who.Caller.Name, who.Caller.Role.Word(), who.Caller.Groups, who.Caller.By), RestJson.Default.WhoReply);

    static IResult List(Requester who, TokenTable tokens, TimeProvider clock) => Results.Json(
        tokens.All(who.Caller.Role == Role.Admin ? null : who.Caller.Name).Select(t => Reply(t, clock.GetUtcNow())).ToImmutableArray(), RestJson.Default.ImmutableArrayTokenReply);

    static async Task<IResult> CreateAsync(HttpContext context, Requester who, TokenTable tokens, Authentication people, TimeProvider clock, CancellationToken cancel)
    {
        var (body, refusal) = await Bodies.ReadAsync(context.Request, RestJson.Default.TokenBody, cancel);
        if (body is null)
            return refusal!;
        var name = body.Owner ?? who.Caller.Name;
        if (name != who.Caller.Name && who.Caller.Role != Role.Admin)
            return Problems.Of(Access.TooLow(who.Caller, Role.Admin));
        if (!PartitionWords.IsUser(name))
            return Refuse($"'{DocumentError.Cut(name)}' is no login name");
        var most = name == who.Caller.Name ? who.Caller.Role : people.Of(name, "").Role;
        var role = most;
        if (body.Role is { } word && !Enum.GetValues<Role>().Any(r => (role = r).Word() == word))
            return Refuse($"'{DocumentError.Cut(word)}' is no role: viewer, user, operator or admin is expected");
        if (role > most)
            return Problems.Of(Fault.Of(FaultCodes.RightsRole, $"{name} is {most.Word()}; a token cannot be {role.Word()}"));
        if (body.Seconds is < 60 or > LongestSeconds)
            return Refuse($"a token is good for 60 to {LongestSeconds} seconds, not {body.Seconds}");
        if (body.Note.Length > NoteLimit || body.Note.Any(char.IsControl))
            return Refuse($"the note has more than {NoteLimit} characters, or control characters");
        var now = clock.GetUtcNow();
        var text = "ka_" + RandomNumberGenerator.GetString("23456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz", SecretLength);
        var token = new StoredToken(Ids.New("T"), name, role, body.Note, who.Caller.Name, now, now.AddSeconds(body.Seconds), null, null);
        tokens.Add(token, ServerSecrets.Hash(text));
        context.Response.Headers.CacheControl = "no-store";
        return Results.Json(Reply(token, now) with { Token = text }, RestJson.Default.TokenReply, statusCode: StatusCodes.Status201Created);
    }

    /// <summary>Somebody else's token is no more there than one that never was.</summary>
    static IResult Revoke(string id, Requester who, TokenTable tokens, TimeProvider clock)
    {
        var now = clock.GetUtcNow();
        var found = tokens.All(who.Caller.Role == Role.Admin ? null : who.Caller.Name).FirstOrDefault(t => t.Id == id);
        if (found is null)
            return Problems.Of(Fault.Of(FaultCodes.RightsUnknown, $"there is no token '{DocumentError.Cut(id)}'"));
        tokens.Revoke(id, who.Caller.Name, now);
        return Results.Json(Reply(found with { RevokedAt = found.RevokedAt ?? now }, now), RestJson.Default.TokenReply);
    }

    static IResult Refuse(string why) => Problems.Of(Fault.Of(FaultCodes.RightsInvalid, why));

    static TokenReply Reply(StoredToken token, DateTimeOffset now) => new(
        token.Id, token.Owner, token.Role.Word(), token.Note, token.CreatedAt, token.ExpiresAt, token.UsedAt,
        token.RevokedAt is not null ? "revoked" : token.ExpiresAt <= now ? "over" : "good");
}

/// <summary>Ids that people type.</summary>
static class Ids
{
    /// <summary>A letter and six characters of Crockford's base 32 without the ones that are misread: enough for a site, short to type.</summary>
    public static string New(string kind) => $"{kind}-{Suffix()}";

    /// <summary>The same; a request with an idempotency key gives the same id each time.</summary>
    public static string New(string kind, HttpRequest request) => request.HttpContext.Features.Get<IdSuffix>() is { } suffix ? $"{kind}-{suffix.Text}" : New(kind);

    public static string Suffix() => RandomNumberGenerator.GetString("23456789ABCDEFGHJKMNPQRSTVWXYZ", 6);
}
