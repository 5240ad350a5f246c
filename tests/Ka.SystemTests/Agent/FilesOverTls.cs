using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Ka.Protocol.Agents;
using Ka.Tests.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace Ka.SystemTests.Agent;

/// <summary>The server's route of files by digest, without a server around it.</summary>
sealed class FilesOverTls : IAsyncDisposable
{
    readonly Dictionary<string, byte[]> _files = [];
    readonly WebApplication _app;
    readonly X509Certificate2 _certificate;

    FilesOverTls()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=ka-test", key, HashAlgorithmName.SHA256);
        using var made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        _certificate = X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
        var builder = QuietSite.Builder();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, l =>
        {
            l.Protocols = HttpProtocols.Http1;
            l.UseHttps(_certificate);
        }));
        _app = builder.Build();
        _app.MapGet(AgentProtocol.FilesPath + "{sha256}", (string sha256) => _files.TryGetValue(sha256, out var bytes) ? Results.Bytes(bytes) : Results.NotFound());
    }

    public int Port { get; private set; }

    public string Fingerprint => Convert.ToHexStringLower(SHA256.HashData(_certificate.RawData));

    public static async Task<FilesOverTls> StartAsync()
    {
        var files = new FilesOverTls();
        await files._app.StartAsync();
        files.Port = new Uri(files._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()).Port;
        return files;
    }

    /// <summary>From now on there is this file; gives its digest.</summary>
    public string Add(byte[] bytes)
    {
        var digest = Convert.ToHexStringLower(SHA256.HashData(bytes));
        _files[digest] = bytes;
        return digest;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _certificate.Dispose();
    }
}
