using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Ka.Protocol.SignIn;

/// <summary>What an issuer says of itself (OpenID Connect Discovery 1.0, 3); the device endpoint is of RFC 8628, 4, the revocation endpoint of RFC 8414, 2.</summary>
public sealed record IssuerDocument(string? Issuer, string? JwksUri, string? TokenEndpoint, string? DeviceAuthorizationEndpoint, string? RevocationEndpoint);

/// <summary>The answer to a device authorization request (RFC 8628, 3.2).</summary>
/// <param name="ExpiresIn">Seconds.</param>
/// <param name="Interval">Seconds between two polls; 5 when it is missing.</param>
public sealed record DeviceReply(string? DeviceCode, string? UserCode, string? VerificationUri, string? VerificationUriComplete, int ExpiresIn, int? Interval);

/// <summary>The answer of a token endpoint (RFC 6749, 5.1 and 5.2): tokens, or an error.</summary>
/// <param name="ExpiresIn">Seconds.</param>
public sealed record GrantReply(string? AccessToken, string? TokenType, int? ExpiresIn, string? RefreshToken, string? Error, string? ErrorDescription);

/// <summary>JSON of issuers. They may say more than is read.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, AllowDuplicateProperties = false, MaxDepth = 16, NumberHandling = JsonNumberHandling.AllowReadingFromString)]
[JsonSerializable(typeof(IssuerDocument))]
[JsonSerializable(typeof(DeviceReply))]
[JsonSerializable(typeof(GrantReply))]
public sealed partial class IssuerJson : JsonSerializerContext;
