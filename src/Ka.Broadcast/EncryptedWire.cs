using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Ka.Broadcast;

/// <summary>
/// A connection in TLS 1.3 (RFC 8446). The listener's certificate is made anew by each process and says nothing by itself: both sides prove the
/// broadcast's key over its digest (<see cref="Handshake"/>), so that nobody can stand between them.
/// </summary>
sealed class EncryptedWire : Wire
{
    /// <summary>The first byte that an asker in TLS sends: a handshake record (RFC 8446, 5.1).</summary>
    public const byte FirstByte = 22;

    static readonly Lazy<SslStreamCertificateContext> Own = new(Certify);

    readonly SocketWire _inner;
    readonly SslStream _stream;
    readonly Lock _sending = new();
    byte[] _gathered = [];

    EncryptedWire(SocketWire inner)
    {
        _inner = inner;
        try
        {
            _stream = new SslStream(new NetworkStream(inner.Socket, ownsSocket: false), leaveInnerStreamOpen: true);
        }
        catch (IOException e)
        {
            throw Failure(e); // the connection is gone already
        }
    }

    /// <summary>SHA-256 of the listener's certificate (<c>tls-server-end-point</c> of RFC 5929).</summary>
    public byte[] Binding { get; private set; } = [];

    public override string Peer => _inner.Peer;

    public override int ReceiveTimeout { set => _inner.ReceiveTimeout = value; }

    public override int SendTimeout { set => _inner.SendTimeout = value; }

    public override int Available => _inner.Available;

    /// <summary>The asking side; throws <see cref="SocketException"/> when the other does not speak TLS.</summary>
    public static EncryptedWire Ask(SocketWire socket)
    {
        var wire = new EncryptedWire(socket);
        Told(() => wire._stream.AuthenticateAsClient(new SslClientAuthenticationOptions
        {
            TargetHost = "ka",
            EnabledSslProtocols = SslProtocols.Tls13,
            AllowTlsResume = false,
            RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is not null, // the key proves it, see above
        }));
        wire.Binding = SHA256.HashData(wire._stream.RemoteCertificate!.GetRawCertData());
        return wire;
    }

    /// <summary>The listening side.</summary>
    public static EncryptedWire Listen(SocketWire socket)
    {
        var wire = new EncryptedWire(socket);
        Told(() => wire._stream.AuthenticateAsServer(new SslServerAuthenticationOptions { ServerCertificateContext = Own.Value, EnabledSslProtocols = SslProtocols.Tls13, AllowTlsResume = false }));
        wire.Binding = SHA256.HashData(Own.Value.TargetCertificate.RawData);
        return wire;
    }

    public override int Receive(Span<byte> into)
    {
        try
        {
            return _stream.Read(into);
        }
        catch (IOException e)
        {
            throw Failure(e);
        }
    }

    public override int Send(ReadOnlySpan<byte> bytes)
    {
        try
        {
            lock (_sending)
            {
                _stream.Write(bytes);
            }
            return bytes.Length;
        }
        catch (IOException e)
        {
            throw Failure(e);
        }
    }

    /// <summary>In as few records as there can be.</summary>
    public override int Send(List<ArraySegment<byte>> pieces)
    {
        var length = pieces.Sum(p => p.Count);
        if (_gathered.Length < length)
        {
            _gathered = new byte[length];
        }
        var at = 0;
        foreach (var piece in pieces)
        {
            piece.AsSpan().CopyTo(_gathered.AsSpan(at));
            at += piece.Count;
        }
        return Send(_gathered.AsSpan(0, length));
    }

    public override void ShutdownSend() => _inner.ShutdownSend();

    public override void Reset() => _inner.Reset();

    public override void Dispose()
    {
        _stream.Dispose();
        _inner.Dispose();
    }

    static void Told(Action handshake)
    {
        try
        {
            handshake();
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            throw Failure(e);
        }
    }

    /// <summary>What the socket failed of below TLS; where that did not fail, the other side spoke no TLS or something else than it.</summary>
    static SocketException Failure(Exception e) => e.InnerException as SocketException ?? new SocketException((int)SocketError.ConnectionReset);

    static SslStreamCertificateContext Certify()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var now = DateTimeOffset.UtcNow;
        var certificate = new CertificateRequest("CN=ka broadcast", key, HashAlgorithmName.SHA256).CreateSelfSigned(now.AddDays(-1), now.AddYears(10));
        return SslStreamCertificateContext.Create(certificate, additionalCertificates: null, offline: true);
    }
}
