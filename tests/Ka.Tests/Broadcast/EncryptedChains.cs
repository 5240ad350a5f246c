using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Ka.Broadcast;
using Ka.Core.Faults;

namespace Ka.Tests.Broadcast;

/// <summary>Chains whose key says that they are encrypted, over real sockets.</summary>
public class EncryptedChains
{
    const int MiB = 1024 * 1024;

    static LoopbackChain Chain(int bytes, int nodes, ChainOptions options) => new(bytes, nodes, options, isEncrypted: true);

    [Fact]
    public async Task All_get_identical_bytes_the_server_sends_them_once_and_nobody_on_the_way_reads_them()
    {
        using var chain = Chain(2 * MiB, nodes: 4, LoopbackChain.Patient);
        using var listening = new Relay(chain.Server);
        chain.Links = ChainPlan.Of([.. chain.Listeners.Select(l => LoopbackChain.Peer(l.Port))], LoopbackChain.Peer(listening.Port));
        var outcomes = await chain.StartAll();
        Assert.All(outcomes, o => Assert.Null(o.Fault));
        Assert.All(Enumerable.Range(0, 4), chain.AssertDelivered);
        Assert.Equal(2 * MiB, chain.Source.Report(chain.Key)!.BytesOut);
        var seen = listening.Seen;
        Assert.True(seen.Length > 2 * MiB, "everything passed here");
        Assert.All(Enumerable.Range(0, 64), i => Assert.Equal(-1, seen.AsSpan().IndexOf(chain.Image.AsSpan(i * (chain.Image.Length / 64), 16))));
    }

    [Fact]
    public async Task A_node_that_dies_in_the_middle_takes_nobody_with_it()
    {
        using var chain = Chain(4 * MiB, nodes: 4, LoopbackChain.Patient);
        chain.Die(1, MiB, 1);
        var all = Enumerable.Range(0, 4).Select(i => chain.Start(i)).ToArray();
        await Assert.ThrowsAsync<OperationCanceledException>(() => all[1]);
        foreach (var i in (int[])[0, 2, 3])
        {
            Assert.Null((await all[i]).Fault);
            chain.AssertDelivered(i);
        }
    }

    [Fact]
    public async Task Who_asks_in_the_clear_gets_nothing_though_it_knows_the_secret()
    {
        using var chain = Chain(MiB, nodes: 2, LoopbackChain.Quick);
        var good = chain.Start(0);
        var bad = await chain.Start(1, chain.Key["tls-".Length..], LoopbackChain.Hasty);
        Assert.Null((await good).Fault);
        Assert.Equal(FaultCodes.BroadcastUnreachable, bad.Fault!.Code);
        Assert.Equal(0, bad.Progress.BytesIn);
    }

    [Fact]
    public async Task Who_stands_between_with_a_certificate_of_its_own_is_found_out()
    {
        using var chain = Chain(MiB, nodes: 1, LoopbackChain.Quick);
        using var between = new Relay(chain.Server, Relay.Certificate());
        chain.Links = ChainPlan.Of([LoopbackChain.Peer(chain.Listeners[0].Port)], LoopbackChain.Peer(between.Port));
        do
        {
            var outcome = await chain.Start(0, options: LoopbackChain.Hasty);
            Assert.Equal(FaultCodes.BroadcastUnreachable, outcome.Fault!.Code);
            Assert.Equal(0, outcome.Progress.BytesIn);
        }
        while (between.Seen.Length == 0); // a busy machine did not let both sides speak to it
    }

    [Fact]
    public void A_connection_that_is_gone_already_fails_as_any_other_does()
    {
        using var door = new SocketDoor(IPAddress.Loopback, 0);
        using var wire = SocketWire.Dial(LoopbackChain.Peer(door.Port), TimeSpan.FromSeconds(30));
        wire.Reset();
        Assert.Throws<SocketException>(() => EncryptedWire.Ask(wire));
    }

    /// <summary>Hands on what comes, both ways, and remembers what the listener said; with a certificate it ends TLS on each side.</summary>
    sealed class Relay : IDisposable
    {
        readonly TcpListener _door = new(IPAddress.Loopback, 0);
        readonly MemoryStream _seen = new();
        readonly ChainPeer _to;
        readonly X509Certificate2? _certificate;

        public Relay(ChainPeer to, X509Certificate2? certificate = null)
        {
            (_to, _certificate) = (to, certificate);
            _door.Start();
            _ = Accept();
        }

        public int Port => ((IPEndPoint)_door.LocalEndpoint).Port;

        public byte[] Seen
        {
            get
            {
                lock (_seen)
                {
                    return _seen.ToArray();
                }
            }
        }

        public static X509Certificate2 Certificate()
        {
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            return new CertificateRequest("CN=ka broadcast", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        }

        public void Dispose() => _door.Dispose();

        async Task Accept()
        {
            try
            {
                while (true)
                {
                    _ = Serve(await _door.AcceptTcpClientAsync());
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // disposed
            }
        }

        async Task Serve(TcpClient asker)
        {
            using var listener = new TcpClient();
            try
            {
                await listener.ConnectAsync(_to.Host, _to.Port);
                Stream near = asker.GetStream(), far = listener.GetStream();
                if (_certificate is not null)
                {
                    var (server, client) = (new SslStream(near), new SslStream(far, leaveInnerStreamOpen: false, (_, certificate, _, _) => certificate is not null));
                    await server.AuthenticateAsServerAsync(_certificate);
                    await client.AuthenticateAsClientAsync("ka");
                    (near, far) = (server, client);
                }
                var asked = near.CopyToAsync(far);
                await Record(far, near);
                asker.Client.Shutdown(SocketShutdown.Send);
                await asked;
            }
            catch (Exception e) when (e is IOException or SocketException or System.Security.Authentication.AuthenticationException)
            {
                // one of them went away
            }
            finally
            {
                asker.Dispose();
            }
        }

        async Task Record(Stream from, Stream to)
        {
            var buffer = new byte[64 * 1024];
            int count;
            while ((count = await from.ReadAsync(buffer)) > 0)
            {
                lock (_seen)
                {
                    _seen.Write(buffer, 0, count);
                }
                await to.WriteAsync(buffer.AsMemory(0, count));
            }
        }
    }
}
