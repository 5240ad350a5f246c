using System.Collections.Immutable;

namespace Ka.Broadcast;

/// <summary>
/// A node of two trees: one <see cref="ChainNode"/> for each stripe of the image, joined in order into one sink. Each has a ring of its own
/// of half the size.
/// </summary>
public sealed class StripedNode : IDisposable
{
    readonly StripeJoin _join;
    readonly ImmutableArray<ChainNode> _parts;
    readonly ImageManifest _manifest;

    /// <param name="links">One for each stripe, <see cref="TwoTreePlan"/>.</param>
    /// <param name="sink">Takes the verified bytes in order; it is flushed at the end and stays open.</param>
    public StripedNode(BroadcastKey key, ImageManifest manifest, ImmutableArray<ChainLink> links, ChainListener listener, Stream sink, ChainOptions options)
    {
        _manifest = manifest;
        _join = new StripeJoin(sink, links.Length, manifest.ChunkBytes, options.World);
        var half = options with { RingBytes = options.RingOf(key.IsEncrypted) / links.Length };
        _parts =
        [
            .. links.Select((link, i) => new ChainNode(
                new ChainTicket(key.Stripe(i), manifest.Stripe(new Stripe(i, links.Length, manifest.ChunkBytes)), link.Upstreams, link.Successors), listener, _join.End(i), half)),
        ];
    }

    /// <summary>Both stripes together. <see cref="ChainProgress.Upstream"/> is the first stripe's.</summary>
    public ChainProgress Progress
    {
        get
        {
            var parts = _parts.Select(p => p.Progress).ToArray();
            return new ChainProgress(_manifest.Bytes, parts.Sum(p => p.BytesIn), parts.Sum(p => p.BytesOut), parts.Sum(p => p.Verified), _join.Joined,
                parts.Sum(p => p.RingBytes), parts[0].Upstream, parts.Sum(p => p.Successors), parts.Sum(p => p.Switches))
            {
                BadChunks = parts.Sum(p => p.BadChunks),
                Refetched = parts.Sum(p => p.Refetched),
                Dropped = [.. parts.SelectMany(p => p.Dropped).Distinct()],
            };
        }
    }

    /// <summary>As <see cref="ChainNode.Receive"/>: until the sink has the whole image, or a fault of one stripe ends all.</summary>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public async Task<ChainOutcome> Receive(CancellationToken cancel)
    {
        ChainOutcome? failed = null;
        var bad = new List<int>();
        await using (cancel.Register(_join.Break))
        {
            await Task.WhenAll(_parts.Select(Part));
        }
        cancel.ThrowIfCancellationRequested();
        return (failed ?? new ChainOutcome(null, false, Progress)) with { Progress = Progress, BadChunks = [.. bad.Order()] };

        async Task Part(ChainNode part, int stripe)
        {
            try
            {
                var outcome = await part.Receive(cancel);
                lock (bad)
                {
                    bad.AddRange(outcome.BadChunks.Select(i => (i * _parts.Length) + stripe));
                }
                if (outcome.Fault is null)
                {
                    return;
                }
                Interlocked.CompareExchange(ref failed, outcome, null);
            }
            catch (OperationCanceledException) when (failed is not null)
            {
                return; // the other stripe's fault has ended this one
            }
            catch
            {
                Dispose();
                throw;
            }
            Dispose();
        }
    }

    /// <summary>As <see cref="ChainNode.Linger"/>, for all stripes.</summary>
    public Task Linger() => Task.WhenAll(_parts.Select(p => p.Linger()));

    public void Dispose()
    {
        _join.Break();
        foreach (var part in _parts)
        {
            part.Dispose();
        }
    }
}
